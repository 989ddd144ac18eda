//! The harness of the end-to-end tests: yima as a process, a client, and people to send events about.

mod calls;
pub mod checker;
pub mod cluster;
mod http;
mod options;
mod people;
mod region;
mod shared_cache;
mod stored;
mod yima;

pub use cluster::{Cluster, ClusterOptions, Node};
pub use http::{Http, Reply};
pub use options::Options;
pub use people::{Person, ago, new_person, now};
pub use region::Region;
pub use shared_cache::{SharedCache, Software};
pub use stored::{OfOne, Stored, assert_same_folds};
pub use yima::{NotStarted, Yima};
