//! The read service: shows and checks codes from a cache whose freshness is proved. Of the store it needs only lookups
//! of views, the feed of changes, and the audit log.

mod app;
mod at_least;
mod body;
pub mod cache;
mod citizen_writer;
pub mod config;
mod copies;
mod disk_tier;
mod document_lookups;
mod etag;
mod fast_path;
mod foreign_files;
mod guardianships;
mod headers;
mod hints;
mod keyring;
mod limiters;
mod metrics;
mod offline_bundle;
mod pace;
mod presenter;
mod read_api;
mod remote_writers;
mod routes;
mod session_ends;
mod started_sessions;
mod tls_tickets;
mod verdict;

pub use self::metrics::METRICS;
pub use app::Keys;
pub use cache::{CacheSettings, TuningError};
pub use citizen_writer::CitizenWriter;
pub use disk_tier::DiskTier;
pub use foreign_files::ForeignFiles;
pub use hints::Hints;
pub use keyring::{CurrentKeyring, Keyring};
pub use read_api::{ReadApi, Resources};
pub use remote_writers::RemoteWriters;
pub use routes::{ScanRequest, Scanned};
