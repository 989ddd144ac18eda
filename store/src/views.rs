//! Views: lookups, and the outcome of a compare-and-set.

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use crate::{Denial, Result, StoreError};

/// A stored view with its version.
#[derive(Clone, PartialEq, Eq)]
pub struct VersionedView {
    /// Raised by each compare-and-set.
    pub version: Version,
    /// The encoded view ([`yima_schema::view::View::encode`]).
    pub view: Bytes,
}

/// Looks up views. With [`Feed`](crate::Feed), all that a read node needs of the store.
#[async_trait]
pub trait ViewReader: Send + Sync {
    /// The subject's view; `None` if it has none.
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>>;
    /// The views of many subjects in one call, in the order given.
    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>>;
}

/// One view to set if its version is still the one that was read.
#[derive(Clone)]
pub struct ViewWrite {
    /// The view's subject.
    pub subject: SubjectId,
    /// The version that was read before the events were; [`Version::ABSENT`] if there was none.
    pub expected: Version,
    /// The version to write, greater than `expected`.
    pub next: Version,
    /// The view to write.
    pub view: Bytes,
    /// The tokens that the view makes out of date: denied before anybody can see the view.
    pub denials: Vec<Denial>,
}

impl ViewWrite {
    /// Refuses versions that do not grow, or are below the epoch.
    pub(crate) fn check_all(writes: &[Self], epoch: u16) -> Result<()> {
        let floor = u64::from(epoch) << 48;
        if writes.iter().any(|w| w.next <= w.expected || w.next.0 < floor) {
            return Err(StoreError::Rejected(
                "a view's next version is not above the one it replaces and the epoch".into(),
            ));
        }
        Ok(())
    }
}

/// The outcome of a compare-and-set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareAndSet {
    /// Written.
    Set,
    /// The view has another version: read again and start over.
    Lost,
}
