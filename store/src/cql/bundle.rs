//! Denials by slot and time, and the offline bundle of this region.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::code::{DenialTag, SLOT};
use yima_schema::time::Time;

use super::statements::ttl;
use super::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::bundle::{BUCKET, PARTS_KEPT, bucket};
use crate::span::{call, call_span};
use crate::{BundleReader, BundleStore, Denial, Result, StoreError, StoredIndex};

const DENIALS: &str = "denials";
const PARTS: &str = "bundle_parts";
const BUNDLE: &str = "bundle";
const INDEX: &str = "index";
const EMERGENCY: &str = "emergency";
const LEASE: &str = "offline bundle";
/// Buckets that are read together.
const CONCURRENT_BUCKETS: usize = 8;
/// Tags of one answer.
const PAGE: usize = 10_000;
/// How long after the begin of its bucket a denial may become visible, so that builders, which look back an hour, see
/// it. A process may be paused between two steps.
const MAX_DELAY: Duration = Duration::from_secs(1_200);

#[async_trait]
impl BundleReader for CqlStore {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        let row = self.inner.bundle_row(INDEX).await?;
        Ok(row.map(|(at, body)| StoredIndex { released_at: Time::from_millis(at), signed: body.into() }))
    }

    async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>> {
        let corrupt = |_| StoreError::Corrupt { table: PARTS, what: "a row".into() };
        let rows = self.inner.query(PARTS, &self.inner.statements.bundle.part, (&sha256[..],)).await?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(corrupt)?;
        Ok(row.map(|(part,)| part.into()))
    }
}

#[async_trait]
impl BundleStore for CqlStore {
    async fn lease_bundle(&self) -> Result<bool> {
        self.inner.lease(LEASE.to_owned()).await
    }

    async fn denials(&self, slot: i64, since: Time, limit: usize) -> Result<Vec<DenialTag>> {
        let inner = &*self.inner;
        // A clock of another writer may be ahead. After its end nothing is written for a slot.
        let end = Time::EPOCH.plus(SLOT * u32::try_from(slot + 1).unwrap_or(0)).plus(BUCKET);
        let buckets = bucket(since)..=bucket((inner.options.clock)().plus(BUCKET).min(end));
        let mut buckets = stream::iter(buckets.map(|bucket| inner.denials_of(slot, bucket, limit)));
        let mut answers = buckets.by_ref().buffer_unordered(CONCURRENT_BUCKETS);
        let mut tags = Vec::new();
        while let Some(found) = answers.try_next().await? {
            tags.extend(found);
            if tags.len() >= limit {
                break;
            }
        }
        Ok(tags)
    }

    async fn keep_bundle_part(&self, sha256: [u8; 32], part: Bytes) -> Result<()> {
        let row = (&sha256[..], &part[..], ttl(PARTS_KEPT));
        self.inner.execute(PARTS, &self.inner.statements.bundle.keep_part, row).await.map(drop)
    }

    async fn replace_bundle_index(&self, expected: Option<Time>, index: StoredIndex) -> Result<bool> {
        let (at, body) = (index.released_at.as_millis(), &index.signed[..]);
        let statements = &self.inner.statements.bundle;
        match expected {
            None => self.inner.compare(BUNDLE, &statements.first_index, (at, body)).await,
            Some(expected) => {
                self.inner.compare(BUNDLE, &statements.next_index, (at, body, expected.as_millis())).await
            }
        }
    }

    async fn emergency(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.inner.bundle_row(EMERGENCY).await?.map(|(_, body)| body))
    }

    async fn set_emergency(&self, emergency: Option<Vec<u8>>) -> Result<()> {
        let statements = &self.inner.statements.bundle;
        match emergency {
            Some(emergency) => self.inner.execute(BUNDLE, &statements.set_row, (EMERGENCY, emergency)).await,
            None => self.inner.execute(BUNDLE, &statements.remove_row, (EMERGENCY,)).await,
        }
        .map(drop)
    }
}

impl Inner {
    /// Writes denials, as known from now on; visible when this returns.
    pub(in crate::cql) async fn deny(&self, denials: &[Denial]) -> Result<()> {
        if denials.is_empty() {
            return Ok(());
        }
        loop {
            let began_at = (self.options.clock)();
            let deny = |Denial { slot, tag }: &Denial| {
                let lasts = ttl(Denial::kept_until(*slot).since(began_at));
                let row = (*slot, bucket(began_at), tag.0.to_vec(), lasts);
                async move { self.execute(DENIALS, &self.statements.bundle.deny, row).await.map(drop) }
            };
            let inserts: Vec<_> = denials.iter().map(deny).collect();
            let inserts = stream::iter(inserts).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<()>();
            call(call_span!("cassandra", "INSERT", "denials", denials.len()), inserts).await?;
            if (self.options.clock)().since(began_at) < MAX_DELAY {
                return Ok(());
            }
        }
    }

    async fn denials_of(&self, slot: i64, bucket: i64, limit: usize) -> Result<Vec<DenialTag>> {
        let corrupt = || StoreError::Corrupt { table: DENIALS, what: "a tag".into() };
        let mut tags: Vec<DenialTag> = Vec::new();
        while tags.len() < limit {
            let after = tags.last().map_or(Vec::new(), |tag| tag.0.to_vec());
            let key = (slot, bucket, after, PAGE as i32);
            let rows = self.query(DENIALS, &self.statements.bundle.denials, key).await?;
            let found = rows.rows_num();
            for row in rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt())? {
                let (tag,) = row.map_err(|_| corrupt())?;
                tags.push(DenialTag(tag.try_into().map_err(|_| corrupt())?));
            }
            if found < PAGE {
                break;
            }
        }
        Ok(tags)
    }

    async fn bundle_row(&self, name: &str) -> Result<Option<(i64, Vec<u8>)>> {
        let corrupt = |_| StoreError::Corrupt { table: BUNDLE, what: "a row".into() };
        let rows = self.query(BUNDLE, &self.statements.bundle.row, (name,)).await?;
        rows.maybe_first_row::<(i64, Vec<u8>)>().map_err(corrupt)
    }
}
