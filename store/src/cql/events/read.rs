//! Reads of events: a subject's events or their keys, or one event by name.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::event::{ContentHash, StoredEvent};
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;

use super::{READ_EVENTS, TABLE};
use crate::cql::session::routed;
use crate::cql::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::span::{call, call_span};
use crate::{EventReader, Result, StoreError};

/// Keys of a subject's events: agency, id, revision, content.
pub(in crate::cql) type EventKeys = BTreeSet<(String, String, u64, ContentHash)>;

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
