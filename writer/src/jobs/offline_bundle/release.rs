//! Makes one release: the new parts of each slot, and the index.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use yima_schema::bundle::{
    AcceptanceRules, Ages, Blob, Emergency, ForeignLists, Index, MAX_TAGS, PartName, Precision, SlotParts, TagSet,
    Ways, ranges,
};
use yima_schema::code::{DenialTag, MAX_AHEAD, MAX_PROOF_AGE, MAX_TOKEN_LIFETIME, SLOT};
use yima_schema::time::{HOUR, Time};
use yima_store::StoreError;

use super::{ReleaseKeys, Releases};
use crate::fold::denials::STILL_ISSUED;

/// Denials of so long before a range are read again: one may have become visible after a release had read its time.
const LATE: Duration = HOUR;
/// Denials of a slot are written for so long before it begins, and some time more.
const BEFORE_SLOT: Duration = MAX_TOKEN_LIFETIME.saturating_add(STILL_ISSUED).saturating_add(LATE);
/// Version of the acceptance rules.
const RULES_VERSION: u64 = 1;

/// The bytes of parts that the newest index names.
#[derive(Default)]
pub(super) struct PartCache(HashMap<[u8; 32], Bytes>);

impl Releases {
    /// Makes the parts that are new since `before`, and the index that names them.
    pub(super) async fn build(
        &self,
        before: Option<Index>,
        keys: &ReleaseKeys,
        released_at: Time,
        emergency: Option<Emergency>,
        parts: &mut PartCache,
    ) -> Result<Index, StoreError> {
        let ages = Ages { warn: self.config.warn, grace: self.config.grace, stop: self.config.stop };
        let kept = before.as_ref().filter(|before| before.released_at.utc_day() == released_at.utc_day());
        let kept: HashSet<_> = kept.into_iter().flat_map(Index::blobs).collect();
        let mut named: HashMap<_, _> =
            before.into_iter().flat_map(|index| index.denylist).map(|slot| (slot.slot, slot.parts)).collect();
        let mut denylist = Vec::new();
        // One slot after the other: memory is that of one.
        for slot in Index::slots(released_at, &ages, emergency.as_ref()) {
            let named = named.remove(&slot).unwrap_or_default();
            denylist.push(SlotParts { slot, parts: self.build_slot(slot, named, released_at, parts).await? });
        }
        let guidance = self.keep(&self.content.guidance, &kept).await?;
        let foreign = match (self.content.foreign)() {
            Some(lists) => Some(ForeignLists {
                trust_list: self.keep(&lists.trust_list, &kept).await?,
                acceptance: self.keep(&lists.acceptance, &kept).await?,
                revocations: self.keep(&lists.revocations, &kept).await?,
            }),
            None => None,
        };
        let index = Index {
            region: self.region.clone(),
            released_at,
            ages,
            issuers: keys.issuers.clone(),
            rules: AcceptanceRules {
                version: RULES_VERSION,
                proof_age: MAX_PROOF_AGE,
                ahead: MAX_AHEAD,
                lag: self.config.max_lag,
                issued_not_before: self.config.issued_not_before.unwrap_or(Time::EPOCH).max(Time::EPOCH),
            },
            denylist,
            emergency,
            guidance: Some(guidance),
            foreign,
        };
        let blobs: Vec<_> = index.blobs().map(|blob| blob.sha256).collect();
        parts.0.retain(|sha256, _| blobs.contains(sha256));
        Ok(index)
    }

    /// Stores a document as a part. One that was stored today (`kept`) stays for two days more.
    async fn keep(&self, document: &Bytes, kept: &HashSet<Blob>) -> Result<Blob, StoreError> {
        let blob = Blob::of(document);
        if !kept.contains(&blob) || self.store.bundle_part(blob.sha256).await?.is_none() {
            self.store.keep_bundle_part(blob.sha256, document.clone()).await?;
        }
        Ok(blob)
    }

    /// The parts of a slot, given those that the release before named.
    async fn build_slot(
        &self,
        slot: i64,
        named: Vec<PartName>,
        released_at: Time,
        parts: &mut PartCache,
    ) -> Result<Vec<PartName>, StoreError> {
        let held = self.tag_sets(&named, parts).await?;
        // With a part that is lost the slot begins anew.
        let named = if held.is_some() { named } else { Vec::new() };
        let ranges = ranges::to_make(&named, released_at, self.config.release_period);
        let Some(first) = ranges.iter().map(|range| range.from).min() else { return Ok(named) };
        let begin = Time::EPOCH.plus(SLOT * u32::try_from(slot).unwrap_or(0)).minus(BEFORE_SLOT);
        let tags = self.store.denials(slot, begin.max(first.minus(LATE)), MAX_TAGS + 1).await?;
        if tags.len() > MAX_TAGS {
            tracing::error!(slot, tags = tags.len(), "too many denials in a slot: its codes are to be asked online");
        }
        let made = tokio::task::spawn_blocking(move || {
            let ways = Ways::new(held.unwrap_or_default());
            let make = |range: ranges::Range| (range.from, encode(&tags, &ways, range.from, range.precision));
            ranges.into_iter().map(make).collect::<Vec<_>>()
        });
        let mut all = named;
        for (from, bytes) in made.await.map_err(|_| StoreError::TimedOut)? {
            let (blob, bytes) = (Blob::of(&bytes), Bytes::from(bytes));
            self.store.keep_bundle_part(blob.sha256, bytes.clone()).await?;
            parts.0.insert(blob.sha256, bytes);
            all.push(PartName { from, to: released_at, blob });
        }
        Ok(ranges::to_name(all, self.config.release_period))
    }

    /// The tags of parts, with their ranges; `None`: one is lost, or damaged.
    async fn tag_sets(
        &self,
        named: &[PartName],
        parts: &mut PartCache,
    ) -> Result<Option<Vec<(Time, Time, TagSet)>>, StoreError> {
        let mut sets = Vec::with_capacity(named.len());
        for PartName { from, to, blob } in named {
            let bytes = match parts.0.get(&blob.sha256) {
                Some(bytes) => Some(bytes.clone()),
                None => self.store.bundle_part(blob.sha256).await?,
            };
            let read = bytes.filter(|bytes| Blob::of(bytes) == *blob).and_then(|bytes| {
                let set = TagSet::decode(&bytes).ok()?;
                parts.0.insert(blob.sha256, bytes);
                Some(set)
            });
            let Some(set) = read else {
                tracing::warn!("a part of the offline bundle is lost; its slot is made anew");
                return Ok(None);
            };
            sets.push((*from, *to, set));
        }
        Ok(Some(sets))
    }
}

/// The part from a position on: the tags that not every way there has. Of too many tags, the part that matches all.
pub(super) fn encode(tags: &[DenialTag], ways: &Ways, from: Time, precision: Precision) -> Vec<u8> {
    // Not all of them were read.
    if tags.len() > MAX_TAGS {
        return TagSet::encode_all();
    }
    TagSet::encode(tags.iter().copied().filter(|tag| !ways.all_match(*tag, from)).collect(), precision)
}
