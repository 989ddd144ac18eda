//! Marks: those that other regions and dead writers left are followed here, each stream's by the holder of its lease.

mod feed;
pub(in crate::cql) mod leases;
pub(in crate::cql) mod positions;
pub(in crate::cql) mod unsettled;
