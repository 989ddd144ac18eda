//! Streams: one writer's densely numbered changes and marks in a region.
//!
//! A process registers a stream (`local_stream.rs`), takes numbers (`sequence.rs`), writes rows under them
//! (`log_segments.rs`) and reports its progress once a second (`heartbeat.rs`). At the stream's end it is sealed, by
//! its writer or, if that is dead, by another (`seal.rs`). Followers read `registry.rs` and the rows.

pub(in crate::cql) mod heartbeat;
pub(in crate::cql) mod local_stream;
pub(in crate::cql) mod log_segments;
pub(in crate::cql) mod other_regions;
mod registry;
pub(in crate::cql) mod seal;
mod sequence;
