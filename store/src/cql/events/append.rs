//! Appends: decide, mark, see the stream open, write the events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use tracing::Instrument;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::view::{EventSet, View};

use super::TABLE;
use super::read::{Content, KnownEvents, Revision};
use crate::append_outcome::Decision;
use crate::cql::log::log_segments::LogTable;
use crate::cql::retry::retry_forever;
use crate::cql::{CONCURRENT_REQUESTS, Inner};
use crate::span::{call, call_span};
use crate::{Appended, Mark, Result, StoreError, failpoint};

impl Inner {
    /// Reads the subjects' event keys and decides. Two concurrent appends can both find one key new: with
    /// one content it is the same event, with two both are kept and the fold takes the more restrictive one. A stored
    /// event needs no fold if the subject's view was derived from exactly the events that are stored.
    ///
    /// An event that is stored as the same fact under another hash becomes the stored one.
    pub(in crate::cql) async fn decide(&self, events: &mut [StoredEvent]) -> Result<Vec<Decision>> {
        let known = self.known(events).await?;
        self.find_same_facts(events, &known).await?;
        self.decide_by(events, known).await
    }

    /// Whether each event is stored, as the same content or the same fact.
    pub(super) async fn are_stored(&self, mut events: Vec<StoredEvent>) -> Result<Vec<bool>> {
        let known = self.known(&events).await?;
        self.find_same_facts(&mut events, &known).await?;
        let contents = |event: &StoredEvent| known.get(&event.event.subject)?.contents.get(&revision_of(event));
        Ok(events.iter().map(|e| contents(e).is_some_and(|contents| contents.contains_key(&e.hash))).collect())
    }

    async fn known(&self, events: &[StoredEvent]) -> Result<BTreeMap<SubjectId, KnownEvents>> {
        let mut revisions: BTreeMap<SubjectId, BTreeMap<Revision, bool>> = BTreeMap::new();
        for event in events {
            let of_subject = revisions.entry(event.event.subject).or_default();
            *of_subject.entry(revision_of(event)).or_default() |= event.event.data.may_use_reserve();
        }
        let span = call_span!("cassandra", "SELECT", "events", revisions.len());
        let read = async |(subject, revisions)| self.known_events(subject, &revisions).await.map(|k| (subject, k));
        let reads: Vec<_> = revisions.into_iter().map(read).collect();
        let known = stream::iter(reads).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<BTreeMap<_, _>>();
        call(span, known).await
    }

    /// Replaces each event of whose revision only other contents are stored by one of these, if it is the same fact.
    async fn find_same_facts(
        &self,
        events: &mut [StoredEvent],
        known: &BTreeMap<SubjectId, KnownEvents>,
    ) -> Result<()> {
        let finds: Vec<_> = events.iter().map(|event| self.same_fact(event, known)).collect();
        let found: Vec<_> = stream::iter(finds).buffered(CONCURRENT_REQUESTS).try_collect().await?;
        for (event, found) in events.iter_mut().zip(found) {
            if let Some(found) = found {
                *event = found;
            }
        }
        Ok(())
    }

    /// The stored event that has the revision and the fact of this one under another hash.
    async fn same_fact(
        &self,
        event: &StoredEvent,
        known: &BTreeMap<SubjectId, KnownEvents>,
    ) -> Result<Option<StoredEvent>> {
        let stored = known.get(&event.event.subject).and_then(|known| known.contents.get(&revision_of(event)));
        let Some(stored) = stored.filter(|stored| !stored.contains_key(&event.hash)) else { return Ok(None) };
        for hash in stored.keys() {
            let name = EventName { hash: *hash, ..EventName::of(event) };
            let found = self.event(&name, None).await?;
            if let Some(found) = found.filter(|found| found.event.is_same_fact(&event.event)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn decide_by(
        &self,
        events: &[StoredEvent],
        mut known: BTreeMap<SubjectId, KnownEvents>,
    ) -> Result<Vec<Decision>> {
        let mut repeated = BTreeSet::new();
        let decide = |event: &StoredEvent| {
            let subject = event.event.subject;
            let known = known.entry(subject).or_default();
            let has_room = known.counts.has_room_for(&event.event);
            let contents = known.contents.entry(revision_of(event)).or_default();
            match contents.get(&event.hash) {
                Some(Content::Stored) => {
                    repeated.insert(subject);
                    Decision::Folded
                }
                Some(Content::Added) => Decision::Duplicate,
                None if !contents.is_empty() => Decision::Conflict,
                None if !has_room => Decision::Full,
                None => {
                    contents.insert(event.hash, Content::Added);
                    known.counts.add(&event.event.agency);
                    Decision::New
                }
            }
        };
        let mut decisions: Vec<_> = events.iter().map(decide).collect();
        let stored = repeated.into_iter().map(|subject| (subject, known[&subject].stored));
        let contained = self.contained(stored.collect()).await?;
        for (event, decision) in events.iter().zip(&mut decisions) {
            if *decision == Decision::Folded && !contained.contains(&event.event.subject) {
                *decision = Decision::Duplicate;
            }
        }
        Ok(decisions)
    }

    /// The subjects whose view was derived from exactly these events.
    async fn contained(&self, stored: Vec<(SubjectId, EventSet)>) -> Result<BTreeSet<SubjectId>> {
        if stored.is_empty() {
            return Ok(BTreeSet::new());
        }
        let span = call_span!("cassandra", "SELECT", "views", stored.len());
        let is_contained = async |(subject, stored)| {
            let view = self.lookup_view(&self.statements.views.lookup, subject).await?;
            let view = view.and_then(|view| View::decode(&view.view).ok());
            Ok::<_, StoreError>(view.is_some_and(|view| view.events == stored).then_some(subject))
        };
        let lookups: Vec<_> = stored.into_iter().map(is_contained).collect();
        let contained = stream::iter(lookups).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<Vec<_>>();
        Ok(call(span, contained).await?.into_iter().flatten().collect())
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
            Decision::Folded => Appended::Folded,
            Decision::Settled => Appended::Settled,
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

fn revision_of(event: &StoredEvent) -> Revision {
    let (agency, id, revision, _) = event.key();
    (agency.to_owned(), id.to_owned(), revision)
}
