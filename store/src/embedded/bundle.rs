//! Denials by slot and time, and the offline bundle: an index, parts, and the acceptance of expired codes.

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::code::{DenialTag, SLOT};
use yima_schema::time::Time;

use super::EmbeddedStore;
use super::group_commit::Group;
use super::tables::Table;
use super::writing::ROW_BYTES;
use crate::bundle::{PARTS_KEPT, bucket};
use crate::{BundleReader, BundleStore, Denial, Result, StoredIndex};

/// Keys in `bundle`: the newest index as its moment (8) and the signed bytes, and the acceptance of expired codes.
const INDEX: &str = "index";
const EMERGENCY: &str = "emergency";
/// `bundle`: this ‖ SHA-256 → end of life (8) ‖ bytes.
const PART: u8 = b'/';
/// `bundle`: this ‖ end of life (8) ‖ SHA-256 → nothing.
const END_OF_PART: u8 = b'-';

#[async_trait]
impl BundleReader for EmbeddedStore {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        self.blocking(|tables| {
            let Some(row) = tables.bundle.get(INDEX)? else { return Ok(None) };
            let (at, signed) = row.split_first_chunk().ok_or_else(|| tables.bundle.corrupt("a time"))?;
            let released_at = Time::from_millis(i64::from_be_bytes(*at));
            Ok(Some(StoredIndex { released_at, signed: signed.to_vec().into() }))
        })
        .await
    }

    async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>> {
        self.blocking(move |tables| {
            let row = tables.bundle.get(part_key(&sha256))?;
            Ok(row.map(|row| row.get(8..).unwrap_or_default().to_vec().into()))
        })
        .await
    }
}

#[async_trait]
impl BundleStore for EmbeddedStore {
    async fn lease_bundle(&self) -> Result<bool> {
        Ok(true) // the store has one process
    }

    async fn denials(&self, slot: i64, since: Time, limit: usize) -> Result<Vec<DenialTag>> {
        self.blocking(move |tables| {
            let (start, end) = (denial_key(slot, bucket(since), [0; 8]), denial_key(slot + 1, 0, [0; 8]));
            let tag = |row: Result<(fjall::Slice, fjall::Slice)>| {
                let (key, _) = row?;
                let tag = key.get(16..).and_then(|tag| tag.try_into().ok());
                Ok(DenialTag(tag.ok_or_else(|| tables.denials.corrupt("a key"))?))
            };
            tables.denials.range(start..end).take(limit).map(tag).collect()
        })
        .await
    }

    async fn keep_bundle_part(&self, sha256: [u8; 32], part: Bytes) -> Result<()> {
        let keep = move |group: &mut Group<'_>| {
            let until = group.now.plus(PARTS_KEPT).as_millis().to_be_bytes();
            let bundle = group.tables.bundle.keyspace();
            group.rows.insert(bundle, part_key(&sha256), [&until, &part[..]].concat());
            group.rows.insert(bundle, [&[END_OF_PART], &until[..], &sha256].concat(), []);
            Ok(())
        };
        self.queue()?.submit(ROW_BYTES, keep).await
    }

    async fn replace_bundle_index(&self, expected: Option<Time>, index: StoredIndex) -> Result<bool> {
        let replace = move |group: &mut Group<'_>| {
            let stored = |bundle: &Table| {
                let row = bundle.get(INDEX)?;
                Ok(row.and_then(|row| row.first_chunk().map(|at| Time::from_millis(i64::from_be_bytes(*at)))))
            };
            let found = group.released_at.map_or_else(|| stored(&group.tables.bundle), |at| Ok(Some(at)))?;
            if found != expected {
                return Ok(false);
            }
            let row = [&index.released_at.as_millis().to_be_bytes(), &index.signed[..]].concat();
            group.rows.insert(group.tables.bundle.keyspace(), INDEX, row);
            group.released_at = Some(index.released_at);
            Ok(true)
        };
        self.queue()?.submit(ROW_BYTES, replace).await
    }

    async fn emergency(&self) -> Result<Option<Vec<u8>>> {
        self.blocking(|tables| Ok(tables.bundle.get(EMERGENCY)?.map(|row| row.to_vec()))).await
    }

    async fn set_emergency(&self, emergency: Option<Vec<u8>>) -> Result<()> {
        let set = move |group: &mut Group<'_>| {
            let bundle = group.tables.bundle.keyspace();
            match &emergency {
                Some(emergency) => group.rows.insert(bundle, EMERGENCY, emergency.as_slice()),
                None => group.rows.remove(bundle, EMERGENCY),
            }
            Ok(())
        };
        self.queue()?.submit(ROW_BYTES, set).await
    }
}

impl Group<'_> {
    /// Writes denials, as known from now on.
    pub(super) fn deny(&mut self, denials: &[Denial]) {
        let bucket = bucket(self.now);
        for Denial { slot, tag } in denials {
            self.rows.insert(self.tables.denials.keyspace(), denial_key(*slot, bucket, tag.0), []);
        }
    }

    /// Removes up to `most` denials and parts that are no longer kept at `now`, and returns their number.
    pub(super) fn trim_bundle(&mut self, now: Time, most: usize) -> Result<usize> {
        let mut removed = 0;
        // The first slot that is kept.
        let end = (now.as_secs().div_euclid(SLOT.as_secs() as i64) - 8..).find(|slot| Denial::kept_until(*slot) > now);
        for row in self.tables.denials.range(..denial_key(end.unwrap_or(0), 0, [0; 8])).take(most) {
            self.rows.remove(self.tables.denials.keyspace(), row?.0);
            removed += 1;
        }
        let bundle = &self.tables.bundle;
        let now = now.as_millis().to_be_bytes();
        for row in bundle.range([END_OF_PART].to_vec()..[&[END_OF_PART], &now[..]].concat()).take(most - removed) {
            let (key, _) = row?;
            let sha256 = key.get(9..).and_then(|sha256| sha256.try_into().ok());
            let part = part_key(sha256.ok_or_else(|| bundle.corrupt("a key"))?);
            // It may have been written again since.
            if bundle.get(&part)?.is_some_and(|row| row.get(..8).is_some_and(|until| until <= &now[..])) {
                self.rows.remove(bundle.keyspace(), part);
            }
            self.rows.remove(bundle.keyspace(), key);
            removed += 1;
        }
        Ok(removed)
    }
}

/// `denials`: slot ‖ bucket ‖ tag.
fn denial_key(slot: i64, bucket: i64, tag: [u8; 8]) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&slot.to_be_bytes());
    key[8..16].copy_from_slice(&bucket.to_be_bytes());
    key[16..].copy_from_slice(&tag);
    key
}

fn part_key(sha256: &[u8; 32]) -> Vec<u8> {
    [&[PART], &sha256[..]].concat()
}
