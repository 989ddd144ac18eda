//! The full scan over all subjects of the one process that has the store: nobody else takes a lease or has other rules.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use super::EmbeddedStore;
use super::group_commit::Group;
use crate::{Copied, EventReader, Page, Progress, Result, StoreError, SubjectScan};

/// Start of a key in `meta`, before the name of a task.
const PROGRESS: &str = "progress/";
/// Bytes of a row of progress, about.
const PROGRESS_BYTES: usize = 200;

#[async_trait]
impl SubjectScan for EmbeddedStore {
    async fn other_regions(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn subjects(&self, _region: Option<&str>, after: i64, limit: usize) -> Result<Page> {
        self.blocking(move |tables| {
            // Every subject with events has a view once the marks of the process before are settled.
            let rows = tables.views.range(first_key_after(after)..).take(limit);
            let subject = |row: Result<(fjall::Slice, _)>| {
                let key: [u8; 16] = row?.0.as_ref().try_into().map_err(|_| tables.views.corrupt("a key"))?;
                let subject = SubjectId::from_bytes(key);
                Ok((token(subject), subject))
            };
            Ok(Page::cut(rows.map(subject).collect::<Result<_>>()?, limit))
        })
        .await
    }

    async fn event_names(&self, _region: Option<&str>, subjects: &[SubjectId]) -> Result<Vec<BTreeSet<EventName>>> {
        let events = self.events(subjects).await?;
        Ok(events.iter().map(|events| events.iter().map(EventName::of).collect()).collect())
    }

    async fn copy(&self, _from: Option<&str>, _to: Option<&str>, _events: &[EventName]) -> Result<Vec<Copied>> {
        Err(StoreError::Rejected("an embedded store has no other region".into()))
    }

    async fn progress(&self, task: &str) -> Result<Option<Progress>> {
        let key = key(task);
        self.blocking(move |tables| {
            let row = tables.meta.get(&key)?;
            row.map(|row| decode(&row).ok_or_else(|| tables.meta.corrupt("the progress of a task"))).transpose()
        })
        .await
    }

    async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()> {
        let (key, row) = (key(task), encode(progress));
        let save = move |group: &mut Group<'_>| {
            group.rows.insert(group.tables.meta.keyspace(), key.as_str(), row.as_slice());
            Ok(())
        };
        self.queue()?.submit(PROGRESS_BYTES, save).await
    }

    async fn forget_progress(&self, task: &str) -> Result<()> {
        let key = key(task);
        let forget = move |group: &mut Group<'_>| {
            group.rows.remove(group.tables.meta.keyspace(), key.as_str());
            Ok(())
        };
        self.queue()?.submit(PROGRESS_BYTES, forget).await
    }

    async fn lease_task(&self, _task: &str) -> Result<bool> {
        Ok(true)
    }

    async fn release_task(&self, _task: &str) -> Result<()> {
        Ok(())
    }

    async fn reconciled(&self, _regions: &[String], _since: Time) -> Result<()> {
        Ok(())
    }

    /// No other process has older rules.
    async fn oldest_rules(&self) -> Result<Option<u32>> {
        Ok(Some(u32::MAX))
    }
}

/// The position of a subject in the order of the keys of `views`. The lowest token stands for the beginning.
fn token(subject: SubjectId) -> i64 {
    (subject.fingerprint() ^ 1 << 63).cast_signed().max(i64::MIN + 1)
}

/// The start of every key with a token above `after`.
fn first_key_after(after: i64) -> [u8; 8] {
    let after = after.cast_unsigned() ^ 1 << 63;
    if after == 0 { [0; 8] } else { after.saturating_add(1).to_be_bytes() }
}

fn key(task: &str) -> String {
    format!("{PROGRESS}{task}")
}

/// `upto` ‖ started at ‖ updated at, ms ‖ for each count: its number ‖ length of its name (1) ‖ name.
fn encode(progress: &Progress) -> Vec<u8> {
    let times = [progress.upto, progress.started_at.as_millis(), progress.updated_at.as_millis()];
    let mut row: Vec<u8> = times.into_iter().flat_map(i64::to_be_bytes).collect();
    for (name, count) in &progress.counts {
        row.extend_from_slice(&count.to_be_bytes());
        row.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        row.extend(name.bytes().take(usize::from(u8::MAX)));
    }
    row
}

fn decode(mut row: &[u8]) -> Option<Progress> {
    let mut number = || {
        let (number, rest) = row.split_first_chunk()?;
        row = rest;
        Some(i64::from_be_bytes(*number))
    };
    let (upto, started_at, updated_at) = (number()?, Time::from_millis(number()?), Time::from_millis(number()?));
    let mut counts = BTreeMap::new();
    while !row.is_empty() {
        let (count, rest) = row.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        counts.insert(String::from_utf8(name.to_vec()).ok()?, u64::from_be_bytes(*count));
        row = rest;
    }
    Some(Progress { upto, counts, started_at, updated_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_back_and_damage_is_noticed() {
        let counts = [("folded", 7), ("subjects", u64::MAX)].map(|(name, n)| (name.to_owned(), n));
        let (started_at, updated_at) = (Time::from_millis(1), Time::MAX);
        for upto in [i64::MIN, 0, i64::MAX] {
            let progress = Progress { upto, counts: counts.clone().into(), started_at, updated_at };
            let row = encode(&progress);
            assert_eq!(decode(&row), Some(progress));
            assert_eq!(decode(&row[..row.len() - 1]), None);
        }
    }

    #[test]
    fn tokens_are_in_the_order_of_the_keys() {
        let subjects = [0, 1, 2, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX].map(|n| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            SubjectId::from_bytes(id)
        });
        assert!(subjects.map(token).is_sorted());
        for pair in subjects.windows(2) {
            let first = first_key_after(token(pair[0]));
            let is_above = token(pair[1]) > token(pair[0]);
            assert_eq!(pair[1].as_bytes()[..] >= first[..], is_above);
        }
        assert_eq!(first_key_after(i64::MIN), [0; 8]);
    }
}
