//! The harness of the end-to-end tests: yima as a process, a client, and people to send events about.

/// A line on standard output.
#[macro_export]
macro_rules! report {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($words)*).expect("standard output is open")
    }};
}

mod calls;
pub mod checker;
pub mod cluster;
mod collector;
mod events;
mod http;
mod options;
mod people;
mod region;
pub mod samples;
mod shared_cache;
mod stored;
mod tls;
mod tmpfs;
mod until;
mod yima;

pub use cluster::{Cluster, ClusterOptions, Node, resident_bytes};
pub use collector::{Collected, Collector};
pub use events::{Events, ServerSent};
pub use http::{Http, Reply};
pub use options::{Options, faketime};
pub use people::{Person, ago, new_person, now};
pub use region::Region;
pub use shared_cache::{SharedCache, Software};
pub use stored::{OfOne, Stored, assert_same_folds};
pub use tls::{CertificateFiles, Secure};
pub use tmpfs::Tmpfs;
pub use until::until;
pub use yima::{NotStarted, Yima, free_ports};
