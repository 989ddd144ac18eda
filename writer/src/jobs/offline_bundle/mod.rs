//! Releases of the offline bundle: at each release's moment one writer of the region makes the parts of the denylist that are
//! new, and an index that names them.
//!
//! It keeps nothing that the store does not have: any writer can make the next release. A lease keeps two from doing
//! the same work; that an index is only replaced by a later one is up to the store's compare-and-set.

mod release;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::MissedTickBehavior;
use yima_schema::bundle::{Emergency, Index, ranges};
use yima_schema::code::{IssuerKey, IssuerKeys, SignError, VerifyingKey};
use yima_schema::time::Time;
use yima_store::{BundleStore, StoreError, StoredIndex};

use crate::config::OfflineConfig;
use release::PartCache;

/// Time between two looks at the clock, and tries of a release that failed.
const TICK: Duration = Duration::from_secs(1);

/// The key that signs a release, and those that it names.
pub struct ReleaseKeys {
    /// Signs the index.
    pub signs: IssuerKey,
    /// All published issuers' keys.
    pub issuers: Vec<VerifyingKey>,
}

/// The lists by which codes of other systems are judged, as a scanner reads them.
#[derive(Clone)]
pub struct ForeignLists {
    /// Whose signatures count.
    pub trust_list: Bytes,
    /// Which of their statements let a person pass.
    pub acceptance: Bytes,
    /// Which of their codes were revoked one by one.
    pub revocations: Bytes,
}

/// What a release has beside the denylist.
pub struct Content {
    /// The guidance document.
    pub guidance: Bytes,
    /// The lists in force; `None`: codes of other systems are not judged without a network.
    pub foreign: Arc<dyn Fn() -> Option<ForeignLists> + Send + Sync>,
}

/// Makes releases.
pub struct Releases {
    store: Arc<dyn BundleStore>,
    region: String,
    config: OfflineConfig,
    content: Content,
    /// The keys in force; `None`, once logged, if this node has none that signs. May block.
    keys: Arc<dyn Fn() -> Option<ReleaseKeys> + Send + Sync>,
    clock: fn() -> Time,
}

/// The newest release, as far as this process knows.
#[derive(Clone, PartialEq, Eq)]
struct Known {
    released_at: Time,
    emergency: Option<Emergency>,
}

/// How a try of a release ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// It is the newest.
    Released,
    /// Another writer's was first.
    Superseded,
    /// Another writer makes it, or this one cannot.
    NotMine,
}

impl Releases {
    /// Releases of a region.
    pub fn new(
        store: Arc<dyn BundleStore>,
        region: String,
        config: OfflineConfig,
        content: Content,
        keys: Arc<dyn Fn() -> Option<ReleaseKeys> + Send + Sync>,
        clock: fn() -> Time,
    ) -> Self {
        Self { store, region, config, content, keys, clock }
    }

    /// Makes the releases that are due, until it is dropped.
    pub async fn run(self) {
        let (mut known, mut parts) = (None, PartCache::default());
        let mut ticks = tokio::time::interval(TICK.min(self.config.release_period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let count = |outcome| metrics::counter!("offline_bundle_releases_total", "outcome" => outcome).increment(1);
            match self.tick((self.clock)(), &mut known, &mut parts).await {
                Ok(Some(Outcome::Released)) => count("released"),
                Ok(Some(Outcome::Superseded)) => count("superseded"),
                Ok(None | Some(Outcome::NotMine)) => {}
                Err(error) => {
                    count("failed");
                    let released_at = known.as_ref().map(|known| tracing::field::display(known.released_at));
                    tracing::warn!(%error, released_at, "no release of the offline bundle; it is tried again");
                }
            }
        }
    }

    /// Makes a release if one is due.
    async fn tick(
        &self,
        now: Time,
        known: &mut Option<Known>,
        parts: &mut PartCache,
    ) -> Result<Option<Outcome>, StoreError> {
        let emergency = self.emergency(now).await?;
        if !self.is_due(known.as_ref(), emergency.as_ref(), now) {
            return Ok(None);
        }
        let keys = self.keys.clone();
        let keys = tokio::task::spawn_blocking(move || keys()).await.map_err(|_| StoreError::TimedOut)?;
        let Some(keys) = keys else { return Ok(Some(Outcome::NotMine)) };
        let stored = self.store.bundle_index().await?;
        let issuers = IssuerKeys::new(keys.issuers.clone());
        // One that cannot be read, or of a key that was revoked since, is replaced as a whole.
        let before = stored.as_ref().and_then(|stored| Index::open(&stored.signed, &issuers).ok());
        *known = stored.as_ref().map(|stored| Known {
            released_at: stored.released_at,
            emergency: before.as_ref().and_then(|before| before.emergency.clone()),
        });
        if !self.is_due(known.as_ref(), emergency.as_ref(), now) {
            return Ok(None);
        }
        let after = stored.map(|stored| stored.released_at);
        let Some(released_at) = self.moment(after, now) else { return Ok(None) };
        if !self.store.lease_bundle().await? {
            return Ok(Some(Outcome::NotMine));
        }
        let index = self.build(before, &keys, released_at, emergency.clone(), parts).await?;
        let signed = tokio::task::spawn_blocking(move || index.sign(&keys.signs));
        let signed = signed.await.map_err(|_| StoreError::TimedOut)?;
        let signed = signed.map_err(|SignError| StoreError::Unavailable("the issuer's key cannot sign".into()))?;
        let bytes = signed.len();
        let index = StoredIndex { released_at, signed: signed.into() };
        if !self.store.replace_bundle_index(after, index).await? {
            return Ok(Some(Outcome::Superseded));
        }
        tracing::debug!(%released_at, bytes, "released an offline bundle");
        *known = Some(Known { released_at, emergency });
        Ok(Some(Outcome::Released))
    }

    /// The acceptance of expired codes in force. One that cannot be read is none: denials must not wait for it.
    async fn emergency(&self, now: Time) -> Result<Option<Emergency>, StoreError> {
        let Some(json) = self.store.emergency().await? else { return Ok(None) };
        Ok(Emergency::in_force(&json, now).unwrap_or_else(|_| {
            tracing::error!("the stored emergency cannot be read and is not in force: end it, and start it again");
            None
        }))
    }

    /// Whether a release is missing: the one of this period, or one that says of an emergency what holds.
    fn is_due(&self, known: Option<&Known>, emergency: Option<&Emergency>, now: Time) -> bool {
        known.is_none_or(|known| {
            known.released_at < ranges::release_before(now, self.config.release_period)
                || known.emergency.as_ref() != emergency
        })
    }

    /// The moment of the release: the period's, or out of turn the present second. Later than the one before.
    fn moment(&self, after: Option<Time>, now: Time) -> Option<Time> {
        let of_period = ranges::release_before(now, self.config.release_period);
        let present = Time::from_secs(now.as_secs());
        [of_period, present].into_iter().find(|moment| after.is_none_or(|after| *moment > after))
    }
}
