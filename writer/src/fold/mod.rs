//! From events to acknowledged views: append, look up the version, *then* read the events, derive, compare and set, publish.
//!
//! The order is what makes an acknowledgement true. The version is read before the events, so a set that succeeds was made from at
//! least the events that any earlier version was made from; whoever loses the race starts again at the version.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::derive::derive;
use yima_schema::event::StoredEvent;
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::{Version, View};
use yima_service::telemetry::span_ref;
use yima_store::{
    Appended, CompareAndSet, Mark, Published, StoreError, StreamId, VersionedView, ViewWrite, WriterStore, fault_point,
    step,
};

/// Subjects folded in one step: all of their events are in memory together.
const FOLD_BATCH: usize = 500;
/// How long to wait before a fold that has begun is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What became of an event whose row was in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Durable, folded and published, for the first time.
    Accepted,
    /// The same, and it had been there before.
    Duplicate,
    /// Another content is there under its id and revision.
    Conflict,
    /// Its subject has as many events as one can have.
    Full,
    /// Nothing was done, because another event that it was to be taken with is at fault.
    NotTried,
}

/// Folds events into views and publishes them in this process's stream.
pub struct Folder {
    store: Arc<dyn WriterStore>,
    rules: Arc<Rules>,
    stream: Mutex<StreamId>,
    /// Newer rules than ours are in force: nothing may be acknowledged.
    outdated: AtomicBool,
}

impl Folder {
    /// Makes its rules the region's if they are newer, opens a stream, then folds and publishes what writers before this one left unfinished.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn start(store: Arc<dyn WriterStore>, rules: Arc<Rules>) -> Result<Self, StoreError> {
        let active = store.raise_rules(rules.version).await?;
        if active > rules.version {
            return Err(outdated(active, rules.version));
        }
        let stream = Mutex::new(store.open_stream().await?);
        let folder = Self { store, rules, stream, outdated: AtomicBool::new(false) };
        // Once more: whoever raises the rules looks for open streams afterwards, so either it saw ours or we see its rules.
        if let Err(refused) = folder.check_rules().await {
            folder.close().await?;
            return Err(refused);
        }
        let unsettled = folder.store.unsettled().await?;
        for batch in unsettled.chunks(FOLD_BATCH) {
            let (marks, subjects) = batch.iter().copied().unzip();
            match folder.fold_and_publish(subjects, marks).await {
                Err(StoreError::Corrupt { .. }) => folder.fold_one_by_one(batch).await?,
                folded => folded?,
            }
        }
        if !unsettled.is_empty() {
            tracing::info!(events = unsettled.len(), "finished folds that an earlier process had begun");
        }
        Ok(folder)
    }

    /// Reads which rules are in force; once newer ones are, this folder takes nothing more.
    ///
    /// # Errors
    /// The store's; `Rejected` if they are newer than ours.
    pub async fn check_rules(&self) -> Result<(), StoreError> {
        let active = self.store.active_rules().await?;
        if active > self.rules.version {
            self.outdated.store(true, Ordering::Release);
            return Err(outdated(active, self.rules.version));
        }
        Ok(())
    }

    /// Whether newer rules than this folder's were seen in force: its process has to stop.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }

    /// The rules that it folds by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Finishes what can be finished. A subject whose events cannot be read keeps its mark, and everybody else is served.
    async fn fold_one_by_one(&self, batch: &[(Mark, SubjectId)]) -> Result<(), StoreError> {
        for (mark, subject) in batch {
            match self.fold_and_publish(vec![*subject], vec![*mark]).await {
                Err(fault @ StoreError::Corrupt { .. }) => tracing::error!(%fault, "a subject cannot be folded"),
                folded => folded?,
            }
        }
        Ok(())
    }

    /// Appends events and folds their subjects; each outcome holds when this returns. Once the events are appended this does not give
    /// up: what was begun is finished, whatever the client was told.
    ///
    /// # Errors
    /// Nothing was appended, or a subject's data cannot be read.
    pub async fn commit(&self, events: Vec<StoredEvent>) -> Result<Vec<Outcome>, StoreError> {
        fault_point::pass("before_append")?;
        if self.is_outdated() {
            self.check_rules().await?;
        }
        let subjects: Vec<SubjectId> = events.iter().map(|e| e.event.subject).collect();
        let span = step!("append", events = events.len());
        let appended = self.store.append(events).instrument(span).await?;
        let (mut marks, mut to_fold) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::with_capacity(appended.len());
        for (subject, appended) in subjects.into_iter().zip(appended) {
            let (outcome, mark) = match appended {
                Appended::New(mark) => (Outcome::Accepted, Some(mark)),
                Appended::Duplicate(mark) => (Outcome::Duplicate, Some(mark)),
                Appended::Conflict => (Outcome::Conflict, None),
                Appended::Full => (Outcome::Full, None),
            };
            outcomes.push(outcome);
            if let Some(mark) = mark {
                marks.push(mark);
                to_fold.push(subject);
            }
        }
        if !marks.is_empty() {
            self.finish(to_fold, marks).await?;
        }
        fault_point::pass("published")?;
        Ok(outcomes)
    }

    /// As [`Self::commit`], but all or none: if one event would be refused, nothing is appended. Another client's event that comes between the
    /// check and the append can still make one conflict alone.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Outcome>, StoreError> {
        let mut subjects: Vec<SubjectId> = events.iter().map(|e| e.event.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut known: HashMap<_, _> = subjects.iter().copied().zip(self.store.events(&subjects).await?).collect();
        let outcomes: Vec<_> = events
            .iter()
            .map(|event| {
                let known = known.entry(event.event.subject).or_default();
                let same = known.iter().find(|other| {
                    let (a, b) = (&other.event, &event.event);
                    (&a.agency, &a.id, a.revision) == (&b.agency, &b.id, b.revision)
                });
                match same {
                    Some(other) if other.hash != event.hash => Outcome::Conflict,
                    Some(_) => Outcome::NotTried,
                    None if known.len() >= MAX_EVENTS_PER_SUBJECT => Outcome::Full,
                    None => {
                        known.push(event.clone());
                        Outcome::NotTried
                    }
                }
            })
            .collect();
        if outcomes.iter().all(|outcome| *outcome == Outcome::NotTried) {
            self.commit(events).await
        } else {
            Ok(outcomes)
        }
    }

    /// Folds and publishes subjects whose events are there already.
    ///
    /// # Errors
    /// The store's; some may be folded.
    pub async fn refold(&self, subjects: Vec<SubjectId>) -> Result<(), StoreError> {
        self.fold_and_publish(subjects, Vec::new()).await
    }

    /// Folds and publishes until it is done; only what a later try cannot mend is an error.
    async fn finish(&self, subjects: Vec<SubjectId>, marks: Vec<Mark>) -> Result<(), StoreError> {
        let mut wait = RETRY.0;
        loop {
            match self.fold_and_publish(subjects.clone(), marks.clone()).await {
                Err(fault @ (StoreError::Unavailable(_) | StoreError::TimedOut)) => {
                    tracing::warn!(%fault, "a fold waits for the store");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
                done @ (Ok(()) | Err(StoreError::Corrupt { .. } | StoreError::Rejected(_))) => return done,
            }
        }
    }

    async fn fold_and_publish(&self, mut subjects: Vec<SubjectId>, marks: Vec<Mark>) -> Result<(), StoreError> {
        fault_point::pass("appended")?;
        subjects.sort_unstable();
        subjects.dedup();
        let mut changes = Vec::with_capacity(subjects.len());
        for batch in subjects.chunks(FOLD_BATCH) {
            changes.extend(self.fold(batch.to_vec()).await?);
        }
        loop {
            let stream = *self.stream.lock();
            let span = step!(
                "publish changes",
                otel.kind = "producer",
                messaging.system = "yima",
                messaging.operation.name = "publish",
                messaging.operation.type = "send",
                messaging.destination.name = "changes",
                messaging.batch.message_count = changes.len(),
            );
            let traced = span_ref(&span);
            let changes = changes.iter().map(|change| Change { traced, ..change.clone() }).collect();
            match self.store.publish(stream, changes, marks.clone()).instrument(span).await? {
                Published::Open => return Ok(()),
                Published::Closed => self.replace_stream(stream).await?,
            }
        }
    }

    /// Someone closed our stream, taking us for dead: what was published there is not acknowledged, but published again in a new one.
    async fn replace_stream(&self, closed: StreamId) -> Result<(), StoreError> {
        let opened = self.store.open_stream().await?;
        self.check_rules().await?;
        let replaced = {
            let mut stream = self.stream.lock();
            let ours = *stream == closed;
            if ours {
                *stream = opened;
            }
            ours
        };
        // Another fold may have been faster.
        if replaced { Ok(()) } else { self.store.close_stream(opened).await }
    }

    /// Brings each subject's view up to its events; returns the newest state of every one, also where nothing was new.
    async fn fold(&self, mut subjects: Vec<SubjectId>) -> Result<Vec<Change>, StoreError> {
        let mut done = Vec::with_capacity(subjects.len());
        while !subjects.is_empty() {
            let (span, count) = (step!("lookup_versions", subjects = subjects.len()), subjects.len());
            let current = self.store.lookup_many(&subjects).instrument(span).await?;
            fault_point::pass("version_read")?;
            let events = self.store.events(&subjects).instrument(step!("read_events", subjects = count)).await?;
            fault_point::pass("events_read")?;
            let (rules, epoch) = (self.rules.clone(), self.store.epoch());
            // A thousand subjects take some ten milliseconds: too long for a thread that others wait for.
            let derived = tokio::task::spawn_blocking(move || plan(&subjects, current, &events, &rules, epoch));
            let planned =
                derived.instrument(step!("derive", subjects = count)).await.map_err(|_| StoreError::TimedOut)?;
            let Plan { unchanged, changed } = planned.inspect_err(|_| self.outdated.store(true, Ordering::Release))?;
            done.extend(unchanged);
            let writes = changed.iter().map(|(expected, change)| ViewWrite {
                subject: change.subject,
                expected: *expected,
                next: change.version,
                view: change.view.clone(),
            });
            fault_point::pass("derived")?;
            let span = step!("compare_and_set", views = changed.len());
            let outcomes = self.store.compare_and_set(writes.collect()).instrument(span).await?;
            fault_point::pass("views_set")?;
            subjects = Vec::new();
            for ((_, change), outcome) in changed.into_iter().zip(outcomes) {
                match outcome {
                    CompareAndSet::Set => done.push(change),
                    CompareAndSet::Lost => subjects.push(change.subject),
                }
            }
        }
        Ok(done)
    }

    /// Closes the stream: nothing more will be published by this process.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), StoreError> {
        let stream = *self.stream.lock();
        self.store.close_stream(stream).await
    }
}

/// What folding some subjects comes to.
struct Plan {
    /// Views that have all of their events already.
    unchanged: Vec<Change>,
    /// Views to set, each with the version that is expected to be there.
    changed: Vec<(Version, Change)>,
}

/// # Errors
/// `Rejected` if a view was made by newer rules: this program does not know what they say.
fn plan(
    subjects: &[SubjectId],
    current: Vec<Option<VersionedView>>,
    events: &[Vec<StoredEvent>],
    rules: &Rules,
    epoch: u16,
) -> Result<Plan, StoreError> {
    let mut plan = Plan { unchanged: Vec::new(), changed: Vec::new() };
    for ((subject, current), events) in subjects.iter().zip(current).zip(events) {
        let derived = derive(events, rules);
        // One that cannot be read is replaced.
        let stored = current.as_ref().and_then(|current| View::decode(&current.view).ok());
        let newer = stored.as_ref().map(|stored| stored.rules_version).filter(|version| *version > rules.version);
        if let Some(newer) = newer {
            return Err(outdated(newer, rules.version));
        }
        let same = stored
            .is_some_and(|stored| stored.events == derived.events && stored.rules_version == derived.rules_version);
        match current {
            // Below the epoch it was made before a restore, and somebody may have seen a higher version.
            Some(VersionedView { version, view }) if same && version >= Version::floor(epoch) => {
                plan.unchanged.push(Change { subject: *subject, version, view, traced: None });
            }
            found => {
                let expected = found.map_or(Version::ABSENT, |v| v.version);
                let change =
                    Change { subject: *subject, version: expected.next(epoch), view: derived.encode(), traced: None };
                plan.changed.push((expected, change));
            }
        }
    }
    Ok(plan)
}

fn outdated(active: u32, ours: u32) -> StoreError {
    StoreError::Rejected(format!(
        "rules of version {active} are in force in this region and this program has version {ours}: give it the newer document (rules.file)"
    ))
}
