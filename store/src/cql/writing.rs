//! What writers do: mark, see the stream open, then the event; later the view; at last the change, and see the stream open again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::event::{ContentHash, StoredEvent};
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;

use super::fault::fault;
use super::log_segments::{Table, elsewhere, retry_forever};
use super::reading::{CONCURRENT, READ_EVENTS};
use super::{CqlStore, Inner, Left};
use crate::append_outcome::{Decided, none_taken};
use crate::span::{call, call_span};
use crate::{
    Appended, CompareAndSet, Mark, Published, Result, StoreError, StreamId, ViewWrite, WriterStore, failpoint,
};

#[async_trait]
impl WriterStore for CqlStore {
    fn epoch(&self) -> u16 {
        self.inner.identity.epoch
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let decided = self.inner.decide(&events).await?;
        self.append_decided(events, decided).await
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let decided = self.inner.decide(&events).await?;
        match none_taken(&decided) {
            Some(outcomes) => Ok(outcomes),
            None => self.append_decided(events, decided).await,
        }
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        let floor = u64::from(self.inner.identity.epoch) << 48;
        if writes.iter().any(|w| w.next <= w.expected || w.next.0 < floor) {
            return Err(StoreError::Rejected(
                "a view's next version is not above the one it replaces and the epoch".into(),
            ));
        }
        call(call_span!("cassandra", "UPDATE", "views", writes.len()), self.inner.compare_and_set(&writes)).await
    }

    async fn active_rules(&self) -> Result<u32> {
        Ok(self.inner.region_state().await?.rules_version)
    }

    async fn raise_rules(&self, version: u32) -> Result<u32> {
        self.inner.raise_rules(version).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        Ok(self.inner.open_stream().await?.of.stream)
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let own = self.inner.own.lock().get(&stream).cloned();
        let Some(own) = own else { return Ok(Published::Closed) };
        let bodies: Vec<_> = changes.iter().map(Change::encode).collect();
        failpoint::pass("before_changes")?;
        if !failpoint::skips("before_changes") {
            let span = call_span!("cassandra", "INSERT", "changes", changes.len());
            call(span, self.inner.extend(Table::Changes, &own, bodies)).await?;
        }
        failpoint::pass("changes_written")?;
        if !call(call_span!("cassandra", "SELECT", "streams", 1), self.inner.is_open(stream)).await? {
            self.inner.own.lock().remove(&stream);
            return Ok(Published::Closed);
        }
        failpoint::pass("stream_seen_open")?;
        self.inner.woken.notify_one();
        self.inner.settled(&marks).await?;
        Ok(Published::Open)
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.inner.close(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        self.inner.unsettled().await
    }
}

impl CqlStore {
    async fn append_decided(&self, events: Vec<StoredEvent>, decided: Vec<Decided>) -> Result<Vec<Appended>> {
        let inner = Arc::clone(&self.inner);
        // A task of its own: what is marked is written, whoever waits.
        let appended = tokio::spawn(async move { inner.append(events, decided).await }.in_current_span());
        appended.await.map_err(|_| StoreError::TimedOut)?
    }
}

/// Agency, id, revision, content.
pub(super) type Keys = BTreeSet<(String, String, u64, ContentHash)>;

impl Inner {
    /// Reads what the subjects have and decides. Two appends at once can both be told that one key is new: with one content it is the same
    /// event, with two both are kept and the fold takes the more restrictive.
    async fn decide(&self, events: &[StoredEvent]) -> Result<Vec<Decided>> {
        let subjects: BTreeSet<SubjectId> = events.iter().map(|e| e.event.subject).collect();
        let read = async |subject| Ok::<_, StoreError>((subject, self.keys_of(None, subject).await?));
        let span = call_span!("cassandra", "SELECT", "events", subjects.len());
        let reads: Vec<_> = subjects.into_iter().map(read).collect();
        let known = stream::iter(reads).buffer_unordered(CONCURRENT).try_collect::<BTreeMap<_, _>>();
        let mut known = call(span, known).await?;
        let decide = |event: &StoredEvent| {
            let known = known.entry(event.event.subject).or_default();
            let (agency, id, revision, hash) = event.key();
            let (agency, id) = (agency.to_owned(), id.to_owned());
            if known.contains(&(agency.clone(), id.clone(), revision, hash)) {
                return Decided::Duplicate;
            }
            let lowest = (agency.clone(), id.clone(), revision, ContentHash([0; 16]));
            if known.range(lowest..).next().is_some_and(|k| k.0 == agency && k.1 == id && k.2 == revision) {
                return Decided::Conflict;
            }
            if known.len() >= MAX_EVENTS_PER_SUBJECT {
                return Decided::Full;
            }
            known.insert((agency, id, revision, hash));
            Decided::New
        };
        Ok(events.iter().map(decide).collect())
    }

    /// Keys of a subject's events, as this datacenter or another one has them.
    pub(super) async fn keys_of(&self, datacenter: Option<&str>, subject: SubjectId) -> Result<Keys> {
        let corrupt = || StoreError::Corrupt { table: "events", what: "a key".into() };
        let asked = (&subject.as_bytes()[..], READ_EVENTS);
        let found = match datacenter {
            None => self.session.execute_unpaged(&self.statements.events.event_keys, asked).await,
            Some(name) => {
                self.session.execute_unpaged(&elsewhere(&self.statements.events.event_keys, name), asked).await
            }
        };
        let rows = found.map_err(|e| fault("events", &e))?.into_rows_result().map_err(|_| corrupt())?;
        let rows = rows.rows::<(String, String, i64, Vec<u8>)>().map_err(|_| corrupt())?;
        rows.map(|row| {
            let (agency, id, revision, hash) = row.map_err(|_| corrupt())?;
            Ok((agency, id, revision as u64, ContentHash(hash.try_into().map_err(|_| corrupt())?)))
        })
        .collect()
    }

    /// Marks what is new or repeated, sees that the marks count, and writes what is new. Once marks are taken this goes on until it is done.
    async fn append(self: &Arc<Self>, events: Vec<StoredEvent>, decided: Vec<Decided>) -> Result<Vec<Appended>> {
        let is_marked = |decided: &Decided| matches!(decided, Decided::New | Decided::Duplicate);
        let to_mark = events.iter().zip(&decided).filter(|(_, decided)| is_marked(decided));
        let bodies: Vec<_> = to_mark.map(|(event, _)| EventName::of(event).encode()).collect();
        let mut marks = if bodies.is_empty() { Vec::new() } else { self.mark(bodies).await? }.into_iter();
        let new = events.iter().zip(&decided).filter(|(_, decided)| **decided == Decided::New);
        let inserts: Vec<_> = new.map(|(event, _)| retry_forever("events", move || self.insert_event(event))).collect();
        let span = call_span!("cassandra", "INSERT", "events", inserts.len());
        stream::iter(inserts).buffer_unordered(CONCURRENT).collect::<()>().instrument(span).await;
        failpoint::pass("event_written")?;
        let outcome = |decided| match decided {
            Decided::Conflict => Appended::Conflict,
            Decided::Full => Appended::Full,
            Decided::New => Appended::New(marks.next().expect("a mark for each that is marked")),
            Decided::Duplicate => Appended::Duplicate(marks.next().expect("a mark for each that is marked")),
        };
        Ok(decided.into_iter().map(outcome).collect())
    }

    /// Writes marks in a stream that is open afterwards, so that they are within it whatever becomes of it: only then may the events be written
    /// that nobody else would hear of.
    async fn mark(self: &Arc<Self>, bodies: Vec<Vec<u8>>) -> Result<Vec<Mark>> {
        loop {
            let own = retry_forever("streams", || self.current()).await;
            failpoint::pass("before_marks")?;
            let span = call_span!("cassandra", "INSERT", "marks", bodies.len());
            let numbers = call(span, self.extend(Table::Marks, &own, bodies.clone())).await?;
            failpoint::pass("marks_written")?;
            let stream = own.of.stream;
            let span = call_span!("cassandra", "SELECT", "streams", 1);
            if retry_forever("streams", || self.is_open(stream)).instrument(span).await {
                failpoint::pass("marks_seen_open")?;
                return Ok(numbers.into_iter().map(|number| Mark { stream, number }).collect());
            }
            self.own.lock().remove(&stream);
        }
    }

    /// Writes an event: always the same bytes under its key, but for the moment at which it was received, of which any will do.
    pub(super) async fn insert_event(&self, event: &StoredEvent) -> Result<()> {
        self.insert_event_by(&self.statements.events.insert_event, event).await
    }

    /// The same, by a statement that says where.
    pub(super) async fn insert_event_by(&self, insert: &PreparedStatement, event: &StoredEvent) -> Result<()> {
        let (agency, id, revision, hash) = event.key();
        let row = (&event.event.subject.as_bytes()[..], agency, id, revision as i64, &hash.0[..], event.encode());
        self.session.execute_unpaged(insert, row).await.map(drop).map_err(|e| fault("events", &e))
    }

    /// Marks of this region's closed streams that nobody has settled.
    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        let mut found = Vec::new();
        for source in self.sources_of(&self.options.region).await? {
            let (mut after, mut numbers) = (source.position, BTreeSet::new());
            let of = self.ours(source.stream);
            while after < source.written {
                let rows = self.read_rows(Table::Marks, &of, after, 1_000).await?;
                let Some((last, _)) = rows.last() else { break };
                after = *last;
                for (number, body) in rows.into_iter().filter(|(_, body)| !body.is_empty()) {
                    let name = EventName::decode(&body)
                        .map_err(|e| StoreError::Corrupt { table: "marks", what: e.to_string() })?;
                    numbers.insert(number);
                    found.push((Mark { stream: source.stream, number }, name.subject));
                }
            }
            if numbers.is_empty() {
                self.save_position(&of, source.written, (self.options.clock)()).await?;
            } else {
                self.left.lock().insert(source.stream, Left { last: source.written, numbers });
            }
        }
        Ok(found)
    }
}
