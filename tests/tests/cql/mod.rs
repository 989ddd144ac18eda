//! The CQL engine on a real cluster.

mod conformance;
