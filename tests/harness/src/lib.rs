//! The harness of the end-to-end tests, benchmarks and soaks: yima as a process, its clients, and what runs around it.

/// Prints a line on standard output.
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
mod edge;
mod events;
mod http;
mod keycloak;
mod maven;
mod options;
mod page_reader;
mod people;
mod region;
mod region_store;
mod requirements;
pub mod samples;
mod shared_cache;
mod tls;
mod tmpfs;
mod turn;
mod until;
mod yima;

pub use cluster::{Cluster, ClusterOptions, Node, resident_bytes};
pub use collector::{CollectedSpan, Collector};
pub use edge::{Edge, render, variables};
pub use events::{Events, ServerSentEvent};
pub use http::{Http, Reply};
pub use keycloak::Keycloak;
pub use options::Options;
pub use page_reader::{Compared, compare_with_page, says_of_foreign};
pub use people::{Person, ago, new_person, now};
pub use region::Region;
pub use region_store::{RegionStore, StoredSubject, assert_same_folds};
pub use requirements::{faketime, real_data, require_root};
pub use shared_cache::{SharedCache, Software};
pub use tls::{CertificateFiles, TlsConnection};
pub use tmpfs::Tmpfs;
pub use until::until;
pub use yima::{StartError, Yima, free_ports, is_paused, resume};
