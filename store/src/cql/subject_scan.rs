//! Going over everyone, by ranges of tokens of the table of events.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use super::fault::fault;
use super::log_segments::elsewhere;
use super::reading::CONCURRENT;
use super::{CqlStore, Inner};
use crate::{Copied, Page, Progress, Result, StoreError, SubjectScan};

const PROGRESS: &str = "progress";

#[async_trait]
impl SubjectScan for CqlStore {
    async fn other_regions(&self) -> Result<Vec<String>> {
        Ok(self.inner.other_regions().await?.into_iter().map(|(name, _)| name).collect())
    }

    async fn subjects(&self, region: Option<&str>, after: i64, limit: usize) -> Result<Page> {
        let datacenter = self.inner.datacenter(region).await?;
        self.inner.subjects(datacenter.as_deref(), after, limit.max(2)).await
    }

    async fn event_names(&self, region: Option<&str>, subjects: &[SubjectId]) -> Result<Vec<BTreeSet<EventName>>> {
        let datacenter = self.inner.datacenter(region).await?;
        let inner = &*self.inner;
        let names: Vec<_> = subjects.iter().map(|subject| inner.names_of(datacenter.as_deref(), *subject)).collect();
        stream::iter(names).buffered(CONCURRENT).try_collect().await
    }

    async fn copy(&self, from: Option<&str>, to: Option<&str>, events: &[EventName]) -> Result<Vec<Copied>> {
        let inner = &*self.inner;
        let (from, to) = (inner.datacenter(from).await?, inner.datacenter(to).await?);
        let insert = at(&inner.statements.events.insert_event, to.as_deref());
        let copies: Vec<_> = events.iter().map(|name| inner.copy(name, from.as_deref(), &insert)).collect();
        stream::iter(copies).buffered(CONCURRENT).try_collect().await
    }

    async fn progress(&self, task: &str) -> Result<Option<Progress>> {
        self.inner.progress(task).await
    }

    async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()> {
        let counts: BTreeMap<&str, i64> = progress.counts.iter().map(|(what, n)| (what.as_str(), *n as i64)).collect();
        let time = |time: Time| CqlTimestamp(time.as_millis());
        let row = (task, progress.upto, counts, time(progress.started_at), time(progress.updated_at));
        let saved = self.inner.session.execute_unpaged(&self.inner.statements.tasks.save_progress, row).await;
        saved.map(drop).map_err(|e| fault(PROGRESS, &e))
    }

    async fn forget_progress(&self, task: &str) -> Result<()> {
        let gone = self.inner.session.execute_unpaged(&self.inner.statements.tasks.forget_progress, (task,)).await;
        gone.map(drop).map_err(|e| fault(PROGRESS, &e))
    }

    async fn lease_task(&self, task: &str) -> Result<bool> {
        self.inner.lease(task_lease(task)).await
    }

    async fn give_back_task(&self, task: &str) -> Result<()> {
        self.inner.give_back(&task_lease(task)).await
    }

    async fn reconciled(&self, since: Time) -> Result<()> {
        self.inner.note_reconciled(since).await
    }

    async fn oldest_rules(&self) -> Result<Option<u32>> {
        let streams = self.inner.stream_rows().await?;
        let beats = self.inner.heartbeats(&self.inner.options.region).await?;
        let open = streams.iter().filter(|stream| !stream.closed);
        Ok(open.map(|stream| beats.get(&stream.id).map_or(0, |beat| beat.rules_version)).min())
    }
}

fn task_lease(task: &str) -> String {
    format!("task/{task}")
}

/// A statement for this datacenter or another one.
fn at(statement: &PreparedStatement, datacenter: Option<&str>) -> PreparedStatement {
    datacenter.map_or_else(|| statement.clone(), |datacenter| elsewhere(statement, datacenter))
}

impl Inner {
    /// The datacenter of a region that is not this one.
    async fn datacenter(&self, region: Option<&str>) -> Result<Option<String>> {
        let Some(region) = region else { return Ok(None) };
        let found = self.datacenter_of(region).await?;
        found.map(Some).ok_or_else(|| StoreError::Rejected(format!("the region {region} is not registered")))
    }

    async fn subjects(&self, datacenter: Option<&str>, after: i64, limit: usize) -> Result<Page> {
        let corrupt = || StoreError::Corrupt { table: "events", what: "a subject".into() };
        let asked = (after, i64::MAX, i32::try_from(limit).unwrap_or(i32::MAX));
        let statement = at(&self.statements.events.subjects, datacenter);
        let found = self.session.execute_unpaged(&statement, asked).await.map_err(|e| fault("events", &e))?;
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
        let mut subjects = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt())? {
            let (bytes,) = row.map_err(|_| corrupt())?;
            let subject = SubjectId::from_bytes(bytes.try_into().map_err(|_| corrupt())?);
            subjects.push((self.place(subject)?, subject));
        }
        Ok(page(subjects, limit))
    }

    /// A subject's token, which the driver computes as the servers do.
    fn place(&self, subject: SubjectId) -> Result<i64> {
        let token = self.statements.views.lookup.calculate_token(&(&subject.as_bytes()[..],)).ok().flatten();
        let token = token.ok_or_else(|| StoreError::Rejected("the driver computes no token of a subject".into()))?;
        Ok(token.value())
    }

    async fn names_of(&self, datacenter: Option<&str>, subject: SubjectId) -> Result<BTreeSet<EventName>> {
        let keys = self.keys_of(datacenter, subject).await?;
        let name = |(agency, id, revision, hash)| EventName { subject, agency, id, revision, hash };
        Ok(keys.into_iter().map(name).collect())
    }

    async fn copy(&self, name: &EventName, from: Option<&str>, insert: &PreparedStatement) -> Result<Copied> {
        match self.event(name, from).await {
            Ok(Some(event)) => self.insert_event_by(insert, &event).await.map(|()| Copied::Done),
            Ok(None) => Ok(Copied::Absent),
            Err(StoreError::Corrupt { .. }) => Ok(Copied::Unreadable),
            Err(fault @ (StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Rejected(_))) => Err(fault),
        }
    }

    async fn progress(&self, task: &str) -> Result<Option<Progress>> {
        type Columns = (i64, Option<BTreeMap<String, i64>>, CqlTimestamp, CqlTimestamp);
        let corrupt = || StoreError::Corrupt { table: PROGRESS, what: "a row".into() };
        let found = self.session.execute_unpaged(&self.statements.tasks.progress, (task,)).await;
        let rows = found.map_err(|e| fault(PROGRESS, &e))?.into_rows_result().map_err(|_| corrupt())?;
        let row = rows.maybe_first_row::<Columns>().map_err(|_| corrupt())?;
        Ok(row.map(|(upto, counts, started_at, updated_at)| Progress {
            upto,
            counts: counts.unwrap_or_default().into_iter().map(|(what, n)| (what, n as u64)).collect(),
            started_at: Time::from_millis(started_at.0),
            updated_at: Time::from_millis(updated_at.0),
        }))
    }
}

/// A page of the rows that were found. A full one may have been cut between two subjects of one token: those come with the next page.
fn page(mut subjects: Vec<(i64, SubjectId)>, limit: usize) -> Page {
    if subjects.len() < limit {
        return Page { subjects, upto: i64::MAX };
    }
    let last = subjects.last().map_or(i64::MAX, |(place, _)| *place);
    if subjects.first().is_some_and(|(place, _)| *place < last) && last < i64::MAX {
        subjects.retain(|(place, _)| *place < last);
        return Page { subjects, upto: last - 1 };
    }
    // So many of one token, which cannot be, or the last token there is.
    Page { subjects, upto: last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_not_cut_within_a_token() {
        let rows = |places: &[i64]| -> Vec<_> {
            places.iter().zip(0..).map(|(place, n)| (*place, SubjectId::from_bytes([n; 16]))).collect()
        };
        let cut = |places: &[i64], limit| {
            let page = page(rows(places), limit);
            (page.subjects.into_iter().map(|(place, _)| place).collect::<Vec<_>>(), page.upto)
        };
        assert_eq!(cut(&[], 3), (vec![], i64::MAX));
        assert_eq!(cut(&[1, 2], 3), (vec![1, 2], i64::MAX));
        assert_eq!(cut(&[1, 2, 3], 3), (vec![1, 2], 2));
        assert_eq!(cut(&[1, 3, 3], 3), (vec![1], 2));
        assert_eq!(cut(&[1, 2, i64::MAX], 3), (vec![1, 2, i64::MAX], i64::MAX));
    }
}
