//! The offline bundle: denials as writers write them, and the releases made of them. All of it is of one region.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::code::{DenialTag, SLOT};
use yima_schema::time::Time;

use crate::Result;

/// Denials are grouped by the time at which they were written, in buckets of this length.
pub(crate) const BUCKET: Duration = Duration::from_secs(300);
/// How long after the end of its slot a denial is kept: codes that expired up to a day ago may be accepted.
const KEPT_AFTER_SLOT: Duration = Duration::from_secs(25 * 3_600);
/// How long a part is kept after it was written: longer than an index names it.
pub(crate) const PARTS_KEPT: Duration = Duration::from_secs(3 * 86_400);

/// The tokens of a phone and a slot, issued while its subject's view counted a number of worsenings, are denied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Denial {
    /// Whole slots since 1970.
    pub slot: i64,
    /// The name of the tokens.
    pub tag: DenialTag,
}

impl Denial {
    /// The first moment at which it need not be kept.
    pub(crate) fn kept_until(slot: i64) -> Time {
        Time::EPOCH.plus(SLOT * u32::try_from(slot + 1).unwrap_or(0)).plus(KEPT_AFTER_SLOT)
    }
}

/// The bucket of a moment: whole buckets since 1970.
pub(crate) fn bucket(time: Time) -> i64 {
    time.as_secs().div_euclid(BUCKET.as_secs() as i64)
}

/// A release as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredIndex {
    /// Its moment: whole seconds.
    pub released_at: Time,
    /// The signed index ([`yima_schema::bundle::Index`]).
    pub signed: Bytes,
}

/// Reads the newest release.
#[async_trait]
pub trait BundleReader: Send + Sync {
    /// The newest index; `None` before the first one.
    async fn bundle_index(&self) -> Result<Option<StoredIndex>>;
    /// The bytes with this SHA-256; `None` if they are not there, or not any more.
    async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>>;
}

/// What builds releases, and what operators say of them.
#[async_trait]
pub trait BundleStore: BundleReader {
    /// Takes the lease on building, or renews it. `false`: another process has it.
    async fn lease_bundle(&self) -> Result<bool>;
    /// Tags of a slot that were written at or after `since`, and some of the minutes before; a tag may come twice. Once
    /// there are `limit` of them, which ones come is not said.
    async fn denials(&self, slot: i64, since: Time, limit: usize) -> Result<Vec<DenialTag>>;
    /// Keeps a part for three days from now on. Durable when it returns.
    async fn keep_bundle_part(&self, sha256: [u8; 32], part: Bytes) -> Result<()>;
    /// Replaces the index if the newest is still of `expected`. `false`: it is not.
    async fn replace_bundle_index(&self, expected: Option<Time>, index: StoredIndex) -> Result<bool>;
    /// The acceptance of expired codes, as it was stored.
    async fn emergency(&self) -> Result<Option<Vec<u8>>>;
    /// Stores it, or removes it. Durable when it returns.
    async fn set_emergency(&self, emergency: Option<Vec<u8>>) -> Result<()>;
}
