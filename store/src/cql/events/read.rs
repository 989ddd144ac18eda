//! Reads of events: a subject's events or their keys, or one event by name.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::event::{ContentHash, StoredEvent};
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::view::EventSet;

use super::{READ_EVENTS, TABLE};
use crate::cql::session::routed;
use crate::cql::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::span::{call, call_span};
use crate::{EventReader, Result, StoreError};

/// Keys of a subject's events: agency, id, revision, content.
pub(in crate::cql) type EventKeys = BTreeSet<(String, String, u64, ContentHash)>;

/// Agency, id and revision of an event.
pub(super) type Revision = (String, String, u64);

/// What an append needs to know of a subject's events.
#[derive(Default)]
pub(super) struct KnownEvents {
    /// All stored events.
    pub stored: EventSet,
    /// Number of events that the append adds.
    pub added: usize,
    /// The contents of the revisions that the append has.
    pub contents: BTreeMap<Revision, BTreeMap<ContentHash, Content>>,
}

/// Where a content is from.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Stored,
    Added,
}

impl KnownEvents {
    /// The number of the subject's events.
    pub(super) fn count(&self) -> usize {
        self.stored.count as usize + self.added
    }
}

#[async_trait]
impl EventReader for CqlStore {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let reads: Vec<_> = subjects.iter().map(|subject| self.inner.events_of(*subject)).collect();
        let read = stream::iter(reads).buffered(CONCURRENT_REQUESTS).try_collect();
        call(call_span!("cassandra", "SELECT", "events", subjects.len()), read).await
    }
}

impl Inner {
    async fn events_of(&self, subject: SubjectId) -> Result<Vec<StoredEvent>> {
        let rows = self.query(TABLE, &self.statements.events.events, (&subject.as_bytes()[..], READ_EVENTS)).await?;
        if rows.rows_num() >= READ_EVENTS as usize {
            return Err(corrupt(format!("a subject with {READ_EVENTS} events or more")));
        }
        let events = rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt("a column"))?;
        events
            .map(|row| {
                let (event,) = row.map_err(|_| corrupt("a row"))?;
                let event = StoredEvent::decode(&event).map_err(corrupt)?;
                if event.event.subject == subject { Ok(event) } else { Err(corrupt("an event of another subject")) }
            })
            .collect()
    }

    /// Counts a subject's events and finds those of `revisions`. Keeps no other key: an append has up to 2,000 subjects.
    pub(super) async fn known_events(&self, subject: SubjectId, revisions: &BTreeSet<Revision>) -> Result<KnownEvents> {
        let _permit = self.key_reads.acquire().await.expect("the semaphore is never closed");
        let rows =
            self.query(TABLE, &self.statements.events.event_keys, (&subject.as_bytes()[..], READ_EVENTS)).await?;
        let mut known = KnownEvents::default();
        for row in rows.rows::<(&str, &str, i64, &[u8])>().map_err(|_| corrupt("a key"))? {
            let (agency, id, revision, hash) = row.map_err(|_| corrupt("a key"))?;
            let hash = ContentHash(hash.try_into().map_err(|_| corrupt("a key"))?);
            known.stored = known.stored.with(hash);
            if let Some(revision) = revisions.get(&(agency.to_owned(), id.to_owned(), revision as u64)) {
                known.contents.entry(revision.clone()).or_default().insert(hash, Content::Stored);
            }
        }
        Ok(known)
    }

    /// Keys of a subject's events, as this datacenter or another one has them.
    pub(in crate::cql) async fn event_keys(&self, datacenter: Option<&str>, subject: SubjectId) -> Result<EventKeys> {
        let statement = routed(&self.statements.events.event_keys, datacenter);
        let rows = self.query(TABLE, &statement, (&subject.as_bytes()[..], READ_EVENTS)).await?;
        let rows = rows.rows::<(String, String, i64, Vec<u8>)>().map_err(|_| corrupt("a key"))?;
        rows.map(|row| {
            let (agency, id, revision, hash) = row.map_err(|_| corrupt("a key"))?;
            Ok((agency, id, revision as u64, ContentHash(hash.try_into().map_err(|_| corrupt("a key"))?)))
        })
        .collect()
    }

    /// One event, as this datacenter or another one has it.
    pub(in crate::cql) async fn event(
        &self,
        name: &EventName,
        datacenter: Option<&str>,
    ) -> Result<Option<StoredEvent>> {
        let statement = routed(&self.statements.events.event, datacenter);
        let key = (&name.subject.as_bytes()[..], &name.agency, &name.id, name.revision as i64, &name.hash.0[..]);
        let rows = self.query(TABLE, &statement, key).await?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(|_| corrupt("a column"))?;
        row.map(|(event,)| StoredEvent::decode(&event).map_err(corrupt)).transpose()
    }
}

fn corrupt(what: impl ToString) -> StoreError {
    StoreError::Corrupt { table: TABLE, what: what.to_string() }
}
