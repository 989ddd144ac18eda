//! Reads of events: a subject's events or their keys, or one event by name.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::event::{ContentHash, EventCounts, StoredEvent};
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
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

/// What reading the events of a subject counts as, in reads of keys.
const EVENT_READ: u32 = 16;

/// Agency, id and revision of an event.
pub(super) type Revision = (String, String, u64);

/// What an append needs to know of a subject's events.
#[derive(Default)]
pub(super) struct KnownEvents {
    /// All stored events.
    pub stored: EventSet,
    /// The number of events, with those that the append adds.
    pub counts: EventCounts,
    /// The contents of the revisions that the append has.
    pub contents: BTreeMap<Revision, BTreeMap<ContentHash, Content>>,
}

/// Where a content is from.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Stored,
    Added,
}

#[async_trait]
impl EventReader for CqlStore {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let reads: Vec<_> = subjects.iter().map(|subject| self.inner.events_of(*subject)).collect();
        let read = stream::iter(reads).buffered(CONCURRENT_REQUESTS).try_collect();
        call(call_span!("cassandra", "SELECT", "events", subjects.len()), read).await
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        let events: Vec<StoredEvent> = events.iter().map(|event| (*event).clone()).collect();
        self.inner.are_stored(events).await
    }
}

impl Inner {
    async fn events_of(&self, subject: SubjectId) -> Result<Vec<StoredEvent>> {
        let rows = self.query(TABLE, &self.statements.events.events, (&subject.as_bytes()[..], READ_EVENTS)).await?;
        if rows.rows_num() >= READ_EVENTS as usize {
            return Err(corrupt(format!("a subject with {READ_EVENTS} events or more")));
        }
        let (mut events, mut with_birth_dates) = (Vec::with_capacity(rows.rows_num()), Vec::new());
        for row in rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt("a column"))? {
            let (event,) = row.map_err(|_| corrupt("a row"))?;
            let event = StoredEvent::decode(&event).map_err(corrupt)?;
            if event.event.subject != subject {
                return Err(corrupt("an event of another subject"));
            }
            if event.kept_birth_date() { with_birth_dates.push(event) } else { events.push(event) }
        }
        for earlier in with_birth_dates {
            let replaced = self.forget_birth_date(earlier).await?;
            // Two readers may replace one row at once.
            if !events.iter().any(|event| event.key() == replaced.key()) {
                events.push(replaced);
            }
        }
        Ok(events)
    }

    /// Replaces a row that an earlier program wrote with a date of birth; one that is interrupted leaves both rows, and
    /// the next reader removes the earlier one. The subject's view gets another event set by that, and is written again
    /// by the fold that reads.
    async fn forget_birth_date(&self, earlier: StoredEvent) -> Result<StoredEvent> {
        let replaced = earlier.without_birth_date();
        self.insert_event(&replaced).await?;
        let (agency, id, revision, hash) = earlier.key();
        let key = (&earlier.event.subject.as_bytes()[..], agency, id, revision as i64, &hash.0[..]);
        self.execute(TABLE, &self.statements.events.delete_event, key).await?;
        Ok(replaced)
    }

    /// Counts a subject's events and finds those of the revisions that an append has. Keeps no other key: an append has
    /// up to 2,000 subjects. `revisions`: each with whether it may use the reserve of a subject with many events.
    pub(super) async fn known_events(
        &self,
        subject: SubjectId,
        revisions: &BTreeMap<Revision, bool>,
    ) -> Result<KnownEvents> {
        let mut known = self.known_keys(subject, revisions).await?;
        let is_new = |(revision, may_use_reserve): (&Revision, &bool)| {
            *may_use_reserve && !known.contents.contains_key(revision)
        };
        if known.counts.all() >= MAX_EVENTS_PER_SUBJECT && revisions.iter().any(is_new) {
            // Who has used how much of the reserve follows from the order in which the events were received.
            let _permits = self.key_reads.acquire_many(EVENT_READ).await.expect("the semaphore is never closed");
            let events = self.events_of(subject).await?;
            known.counts = EventCounts::of(events.iter().map(|e| (e.received_at, e.event.agency.as_str())));
        }
        Ok(known)
    }

    async fn known_keys(&self, subject: SubjectId, revisions: &BTreeMap<Revision, bool>) -> Result<KnownEvents> {
        let _permit = self.key_reads.acquire().await.expect("the semaphore is never closed");
        let rows =
            self.query(TABLE, &self.statements.events.event_keys, (&subject.as_bytes()[..], READ_EVENTS)).await?;
        let mut known = KnownEvents::default();
        for row in rows.rows::<(&str, &str, i64, &[u8])>().map_err(|_| corrupt("a key"))? {
            let (agency, id, revision, hash) = row.map_err(|_| corrupt("a key"))?;
            let hash = ContentHash(hash.try_into().map_err(|_| corrupt("a key"))?);
            known.stored = known.stored.with(hash);
            known.counts.add(agency);
            let revision = (agency.to_owned(), id.to_owned(), revision as u64);
            if revisions.contains_key(&revision) {
                known.contents.entry(revision).or_default().insert(hash, Content::Stored);
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
