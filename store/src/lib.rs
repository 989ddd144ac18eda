//! Where yima keeps events, views and changes: narrow traits, and the engines behind them.
//!
//! A service depends on the traits that it needs. The order of steps that makes an acknowledgement true is the writer's
//! (append, look up the version, then read the events, derive, compare and set, publish); each step here is durable
//! when it returns.

mod append_outcome;
mod audit;
pub mod bulk;
mod bundle;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cql;
mod dead_letters;
mod deferred;
pub mod embedded;
mod error;
pub mod failpoint;
mod feed;
mod marks;
mod resources;
mod span;
mod subject_scan;
mod views;
mod watermark;
mod writer;

pub use audit::{AuditLog, record_reload};
pub use bundle::{BundleReader, BundleStore, Denial, StoredIndex};
pub use dead_letters::{DeadLetterStore, SealedLetter};
pub use deferred::Deferred;
pub use error::{Result, StoreError};
pub use feed::{Feed, Registry, StreamId, StreamState};
pub use marks::{Mark, MarkFeed, Place, Source};
pub use resources::{ResourceIndex, ResourceVersion};
pub use subject_scan::{Copied, Page, Progress, SubjectScan};
pub use views::{CompareAndSet, VersionedView, ViewReader, ViewWrite};
pub use watermark::Watermark;
pub use writer::{Appended, EventReader, Published, WriterStore};
