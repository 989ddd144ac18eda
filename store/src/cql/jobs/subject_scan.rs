//! The full scan over all subjects, by ranges of tokens of the table of events.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use crate::cql::session::routed;
use crate::cql::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::{Copied, Page, Progress, Result, StoreError, SubjectScan};

const TABLE: &str = "events";

#[async_trait]
impl SubjectScan for CqlStore {
    async fn other_regions(&self) -> Result<Vec<String>> {
        Ok(self.inner.other_regions().await?.into_iter().map(|region| region.name).collect())
    }

    async fn subjects(&self, region: Option<&str>, after: i64, limit: usize) -> Result<Page> {
        let datacenter = self.inner.datacenter(region).await?;
        self.inner.subjects(datacenter.as_deref(), after, limit.max(2)).await
    }

    async fn event_names(&self, region: Option<&str>, subjects: &[SubjectId]) -> Result<Vec<BTreeSet<EventName>>> {
        let datacenter = self.inner.datacenter(region).await?;
        let inner = &*self.inner;
        let names: Vec<_> = subjects.iter().map(|s| inner.event_names(datacenter.as_deref(), *s)).collect();
        stream::iter(names).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    async fn copy(&self, from: Option<&str>, to: Option<&str>, events: &[EventName]) -> Result<Vec<Copied>> {
        let inner = &*self.inner;
        let (from, to) = (inner.datacenter(from).await?, inner.datacenter(to).await?);
        let insert = routed(&inner.statements.events.insert_event, to.as_deref());
        let copies: Vec<_> = events.iter().map(|name| inner.copy_event(name, from.as_deref(), &insert)).collect();
        stream::iter(copies).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    async fn progress(&self, task: &str) -> Result<Option<Progress>> {
        self.inner.progress(task).await
    }

    async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()> {
        self.inner.save_progress(task, progress).await
    }

    async fn forget_progress(&self, task: &str) -> Result<()> {
        self.inner.forget_progress(task).await
    }

    async fn lease_task(&self, task: &str) -> Result<bool> {
        self.inner.lease(lease_name(task)).await
    }

    async fn release_task(&self, task: &str) -> Result<()> {
        self.inner.release(&lease_name(task)).await
    }

    async fn reconciled(&self, regions: &[String], since: Time) -> Result<()> {
        self.inner.note_reconciled(regions, since).await
    }

    async fn oldest_rules(&self) -> Result<Option<u32>> {
        let streams = self.inner.stream_rows().await?;
        let heartbeats = self.inner.heartbeats(&self.inner.options.region).await?;
        let rules = |id| heartbeats.get(&id).map_or(0, |heartbeat| heartbeat.rules_version);
        Ok(streams.iter().filter(|stream| !stream.closed).map(|stream| rules(stream.id)).min())
    }
}

fn lease_name(task: &str) -> String {
    format!("task/{task}")
}

impl Inner {
    /// The datacenter of a region, or `None` for this one.
    async fn datacenter(&self, region: Option<&str>) -> Result<Option<String>> {
        let Some(region) = region else { return Ok(None) };
        let found = self.datacenter_of(region).await?;
        found.map(Some).ok_or_else(|| StoreError::Rejected(format!("the region {region} is not registered")))
    }

    async fn subjects(&self, datacenter: Option<&str>, after: i64, limit: usize) -> Result<Page> {
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a subject".into() };
        let range = (after, i64::MAX, i32::try_from(limit).unwrap_or(i32::MAX));
        let rows = self.query(TABLE, &routed(&self.statements.events.subjects, datacenter), range).await?;
        let mut subjects = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt())? {
            let (bytes,) = row.map_err(|_| corrupt())?;
            let subject = SubjectId::from_bytes(bytes.try_into().map_err(|_| corrupt())?);
            subjects.push((self.token(subject)?, subject));
        }
        Ok(Page::cut(subjects, limit))
    }

    /// A subject's token, which the driver computes as the servers do.
    fn token(&self, subject: SubjectId) -> Result<i64> {
        let token = self.statements.views.lookup.calculate_token(&(&subject.as_bytes()[..],)).ok().flatten();
        let token = token.ok_or_else(|| StoreError::Rejected("the driver computes no token of a subject".into()))?;
        Ok(token.value())
    }

    async fn event_names(&self, datacenter: Option<&str>, subject: SubjectId) -> Result<BTreeSet<EventName>> {
        let keys = self.event_keys(datacenter, subject).await?;
        let name = |(agency, id, revision, hash)| EventName { subject, agency, id, revision, hash };
        Ok(keys.into_iter().map(name).collect())
    }

    async fn copy_event(&self, name: &EventName, from: Option<&str>, insert: &PreparedStatement) -> Result<Copied> {
        match self.event(name, from).await {
            Ok(Some(event)) => self.insert_event_by(insert, &event).await.map(|()| Copied::Done),
            Ok(None) => Ok(Copied::Absent),
            Err(StoreError::Corrupt { .. }) => Ok(Copied::Unreadable),
            Err(error @ (StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Rejected(_))) => Err(error),
        }
    }
}
