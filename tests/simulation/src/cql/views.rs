//! The writer's steps: mark, see the stream open, write the event; later set the view; at last write the change, and see
//! the stream open again.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use async_trait::async_trait;
use yima_schema::change::Change;
use yima_schema::event::{ContentHash, EventCounts, StoredEvent};
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::view::{EventSet, Version, View};
use yima_store::{
    Appended, CompareAndSet, EventReader, Mark, Published, Result, StoreError, StreamId, VersionedView, ViewReader,
    ViewWrite, WriterStore,
};

use super::{CqlModel, EPOCH, REGION, event_key, retry_forever};
use crate::embedded::check_versions;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    New,
    Duplicate,
    Folded,
    Conflict,
    Full,
}

/// A subject's events, with those that the append adds.
struct Known {
    counts: EventCounts,
    stored: EventSet,
    contents: BTreeMap<(String, String, u64), BTreeMap<ContentHash, bool>>,
}

impl CqlModel {
    async fn decide(&self, events: &[StoredEvent]) -> Result<Vec<Decision>> {
        let mut known: BTreeMap<SubjectId, Known> = BTreeMap::new();
        for subject in events.iter().map(|event| event.event.subject).collect::<BTreeSet<_>>() {
            let stored = self.events_of(subject).await?;
            let mut contents: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
            for event in &stored {
                contents.entry(revision(event)).or_default().insert(event.hash, true);
            }
            let counts = EventCounts::of(stored.iter().map(|event| (event.received_at, event.event.agency.as_str())));
            let stored = stored.iter().fold(EventSet::default(), |set, event| set.with(event.hash));
            known.insert(subject, Known { counts, stored, contents });
        }
        let mut decisions = Vec::new();
        for event in events {
            let Some(of_subject) = known.get_mut(&event.event.subject) else { continue };
            let has_room = of_subject.counts.has_room_for(&event.event);
            let contents = of_subject.contents.entry(revision(event)).or_default();
            decisions.push(match contents.get(&event.hash) {
                Some(true) => Decision::Folded,
                Some(false) => Decision::Duplicate,
                None if !contents.is_empty() => Decision::Conflict,
                None if !has_room => Decision::Full,
                None => {
                    contents.insert(event.hash, false);
                    of_subject.counts.add(&event.event.agency);
                    Decision::New
                }
            });
        }
        for (event, decision) in events.iter().zip(&mut decisions) {
            if *decision == Decision::Folded {
                let subject = event.event.subject;
                let view = self.database.views.get(&self.process, subject).await?;
                let view = view.and_then(|view| View::decode(&view.view).ok());
                if view.is_none_or(|view| view.events != known[&subject].stored) {
                    *decision = Decision::Duplicate;
                }
            }
        }
        Ok(decisions)
    }

    /// In a task of its own: once marks are taken this goes on until it is done.
    async fn append_decided(&self, events: Vec<StoredEvent>, decisions: Vec<Decision>) -> Result<Vec<Appended>> {
        let store = self.own.upgrade().ok_or(StoreError::TimedOut)?;
        let appended = tokio::spawn(async move {
            let is_marked = |decision: &Decision| matches!(decision, Decision::New | Decision::Duplicate);
            let marked = events.iter().zip(&decisions).filter(|(_, decision)| is_marked(decision));
            let names: Vec<_> = marked.map(|(event, _)| EventName::of(event)).collect();
            let mut marks = if names.is_empty() { Vec::new() } else { store.mark(names).await? }.into_iter();
            for (event, decision) in events.iter().zip(&decisions) {
                if *decision == Decision::New {
                    let table = &store.database.events;
                    retry_forever(|| table.write(&store.process, event_key(event), event.clone())).await;
                }
            }
            let mut next = || marks.next().ok_or(StoreError::TimedOut);
            let outcome = |decision| {
                Ok(match decision {
                    Decision::New => Appended::New(next()?),
                    Decision::Duplicate => Appended::Duplicate(next()?),
                    Decision::Folded => Appended::Folded,
                    Decision::Conflict => Appended::Conflict,
                    Decision::Full => Appended::Full,
                })
            };
            decisions.into_iter().map(outcome).collect()
        });
        appended.await.map_err(|_| StoreError::TimedOut)?
    }

    async fn mark(&self, names: Vec<EventName>) -> Result<Vec<Mark>> {
        loop {
            let local = retry_forever(|| self.current()).await;
            let marks = &self.database.marks;
            let numbers = self.append_rows(marks, &local, |stream| &stream.marks, names.clone()).await?;
            let stream = local.id;
            if retry_forever(|| self.is_open(stream)).await {
                return Ok(numbers.into_iter().map(|number| Mark { stream, number }).collect());
            }
            self.local.lock().remove(&stream);
        }
    }

    async fn set_view(&self, write: &ViewWrite) -> Result<CompareAndSet> {
        let next = VersionedView { version: write.next, view: write.view.clone() };
        let decide = |stored: Option<&VersionedView>| {
            let version = stored.map_or(Version::ABSENT, |stored| stored.version);
            (version == write.expected).then(|| next.clone())
        };
        match self.database.views.compare_and_set(&self.process, write.subject, decide).await {
            Ok(true) => Ok(CompareAndSet::Set),
            Ok(false) => Ok(CompareAndSet::Lost),
            Err(StoreError::TimedOut | StoreError::Unavailable(_)) => {
                let found = self.database.views.get_serially(&self.process, write.subject).await?;
                Ok(if found.is_some_and(|found| found == next) { CompareAndSet::Set } else { CompareAndSet::Lost })
            }
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Rejected(_))) => Err(error),
        }
    }
}

fn revision(event: &StoredEvent) -> (String, String, u64) {
    let (agency, id, revision, _) = event.key();
    (agency.to_owned(), id.to_owned(), revision)
}

#[async_trait]
impl ViewReader for CqlModel {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.database.views.get(&self.process, subject).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            found.push(self.lookup(*subject).await?);
        }
        Ok(found)
    }
}

#[async_trait]
impl EventReader for CqlModel {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            found.push(self.events_of(*subject).await?);
        }
        Ok(found)
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        let mut stored = Vec::with_capacity(events.len());
        for event in events {
            stored.push(self.database.events.get(&self.process, event_key(event)).await?.is_some());
        }
        Ok(stored)
    }
}

#[async_trait]
impl WriterStore for CqlModel {
    fn region(&self) -> &str {
        REGION
    }

    fn epoch(&self) -> u16 {
        EPOCH
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        None
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let decisions = self.decide(&events).await?;
        self.append_decided(events, decisions).await
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let decisions = self.decide(&events).await?;
        let outcome = |decision: &Decision| match decision {
            Decision::Conflict => Appended::Conflict,
            Decision::Full => Appended::Full,
            Decision::New | Decision::Duplicate | Decision::Folded => Appended::NotTried,
        };
        let refused: Vec<_> = decisions.iter().map(outcome).collect();
        if refused.iter().any(|outcome| *outcome != Appended::NotTried) {
            return Ok(refused);
        }
        self.append_decided(events, decisions).await
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        check_versions(&writes)?;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in &writes {
            outcomes.push(self.set_view(write).await?);
        }
        Ok(outcomes)
    }

    async fn open_stream(&self) -> Result<StreamId> {
        Ok(self.open_local().await?.id)
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let Some(local) = self.local.lock().get(&stream).cloned() else { return Ok(Published::Sealed) };
        self.append_rows(&self.database.changes, &local, |stream| &stream.changes, changes).await?;
        if !self.is_open(stream).await? {
            self.local.lock().remove(&stream);
            return Ok(Published::Sealed);
        }
        self.published.notify_one();
        self.settle_marks(&marks).await?;
        Ok(Published::Open)
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.seal(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        self.unsettled_marks().await
    }
}
