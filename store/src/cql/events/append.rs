//! Appends: decide, mark, see the stream open, write the events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use tracing::Instrument;
use yima_schema::event::{ContentHash, StoredEvent};
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;

use super::TABLE;
use crate::append_outcome::Decision;
use crate::cql::log::log_segments::LogTable;
use crate::cql::retry::retry_forever;
use crate::cql::{CONCURRENT_REQUESTS, Inner};
use crate::span::{call, call_span};
use crate::{Appended, Mark, Result, StoreError, failpoint};

impl Inner {
    /// Reads the subjects' event keys and decides. Two concurrent appends can both find one key new: with
    /// one content it is the same event, with two both are kept and the fold takes the more restrictive one.
    pub(in crate::cql) async fn decide(&self, events: &[StoredEvent]) -> Result<Vec<Decision>> {
        let subjects: BTreeSet<SubjectId> = events.iter().map(|e| e.event.subject).collect();
        let read = async |subject| Ok::<_, StoreError>((subject, self.event_keys(None, subject).await?));
        let span = call_span!("cassandra", "SELECT", "events", subjects.len());
        let reads: Vec<_> = subjects.into_iter().map(read).collect();
        let known = stream::iter(reads).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<BTreeMap<_, _>>();
        let mut known = call(span, known).await?;
        let decide = |event: &StoredEvent| {
            let known = known.entry(event.event.subject).or_default();
            let (agency, id, revision, hash) = event.key();
            let (agency, id) = (agency.to_owned(), id.to_owned());
            if known.contains(&(agency.clone(), id.clone(), revision, hash)) {
                return Decision::Duplicate;
            }
            let lowest = (agency.clone(), id.clone(), revision, ContentHash([0; 16]));
            if known.range(lowest..).next().is_some_and(|k| k.0 == agency && k.1 == id && k.2 == revision) {
                return Decision::Conflict;
            }
            if known.len() >= MAX_EVENTS_PER_SUBJECT {
                return Decision::Full;
            }
            known.insert((agency, id, revision, hash));
            Decision::New
        };
        Ok(events.iter().map(decide).collect())
    }

    /// Marks new and repeated events, sees that the marks count, and writes the new events. Once marks are taken this
    /// goes on until it is done.
    pub(in crate::cql) async fn append(
        self: &Arc<Self>,
        events: Vec<StoredEvent>,
        decisions: Vec<Decision>,
    ) -> Result<Vec<Appended>> {
        let is_marked = |decision: &Decision| matches!(decision, Decision::New | Decision::Duplicate);
        let to_mark = events.iter().zip(&decisions).filter(|(_, decision)| is_marked(decision));
        let bodies: Vec<_> = to_mark.map(|(event, _)| EventName::of(event).encode()).collect();
        let mut marks = if bodies.is_empty() { Vec::new() } else { self.mark(bodies).await? }.into_iter();
        let new = events.iter().zip(&decisions).filter(|(_, decision)| **decision == Decision::New);
        let inserts: Vec<_> = new.map(|(event, _)| retry_forever(TABLE, move || self.insert_event(event))).collect();
        let span = call_span!("cassandra", "INSERT", "events", inserts.len());
        stream::iter(inserts).buffer_unordered(CONCURRENT_REQUESTS).collect::<()>().instrument(span).await;
        failpoint::pass("event_written")?;
        let outcome = |decision| match decision {
            Decision::Conflict => Appended::Conflict,
            Decision::Full => Appended::Full,
            Decision::New => Appended::New(marks.next().expect("a mark for each that is marked")),
            Decision::Duplicate => Appended::Duplicate(marks.next().expect("a mark for each that is marked")),
        };
        Ok(decisions.into_iter().map(outcome).collect())
    }

    /// Writes marks in a stream that is still open afterwards, so that they are within its final numbers however soon
    /// it is sealed. Only then may the events be written: without a mark, no other process would learn of them.
    async fn mark(self: &Arc<Self>, bodies: Vec<Vec<u8>>) -> Result<Vec<Mark>> {
        loop {
            let local = retry_forever("streams", || self.current_stream()).await;
            failpoint::pass("before_marks")?;
            let span = call_span!("cassandra", "INSERT", "marks", bodies.len());
            let numbers = call(span, self.append_rows(LogTable::Marks, &local, bodies.clone())).await?;
            failpoint::pass("marks_written")?;
            let stream = local.id.stream;
            let span = call_span!("cassandra", "SELECT", "streams", 1);
            if retry_forever("streams", || self.is_open(stream)).instrument(span).await {
                failpoint::pass("marks_seen_open")?;
                return Ok(numbers.into_iter().map(|number| Mark { stream, number }).collect());
            }
            self.local_streams.remove(stream);
        }
    }

    /// Writes an event. A repetition writes the same bytes under its key, except for the time of receipt, of which any
    /// will do.
    pub(in crate::cql) async fn insert_event(&self, event: &StoredEvent) -> Result<()> {
        self.insert_event_by(&self.statements.events.insert_event, event).await
    }

    /// The same, by a statement that decides in which datacenter.
    pub(in crate::cql) async fn insert_event_by(&self, insert: &PreparedStatement, event: &StoredEvent) -> Result<()> {
        let (agency, id, revision, hash) = event.key();
        let row = (&event.event.subject.as_bytes()[..], agency, id, revision as i64, &hash.0[..], event.encode());
        self.execute(TABLE, insert, row).await.map(drop)
    }
}
