//! A model of the embedded engine: one process, one committer, and a disk that keeps what was synced. A write is visible
//! and acknowledged once it is synced. A power cut takes writes that were not acknowledged, or leaves them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use yima_schema::change::Change;
use yima_schema::event::{EventCounts, StoredEvent};
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_store::{
    Appended, CompareAndSet, EventReader, Feed, Mark, Published, Registry, Result, StoreError, StreamId, StreamState,
    VersionedView, ViewReader, ViewWrite, WriterStore,
};

use crate::chance;
use crate::clock::wait;
use crate::network::{Process, weather};

/// As the engine's: a follower that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(1);
const EPOCH: u16 = 1;

/// What is on the disk.
#[derive(Default)]
pub struct Disk {
    events: BTreeMap<SubjectId, Vec<StoredEvent>>,
    views: BTreeMap<SubjectId, VersionedView>,
    streams: BTreeMap<StreamId, Stream>,
    next_stream: u32,
    marks: BTreeMap<u64, SubjectId>,
    /// In memory only: the marks of new events, whose folds are owed.
    owed: BTreeMap<u64, SubjectId>,
    next_mark: u64,
    /// How often it was opened: a write of an earlier process is lost.
    opened: u64,
}

struct Stream {
    rows: Vec<Change>,
    open: bool,
}

impl Disk {
    /// All events of a subject.
    pub fn events(&self, subject: SubjectId) -> Vec<StoredEvent> {
        self.events.get(&subject).cloned().unwrap_or_default()
    }

    fn append(&mut self, events: &[StoredEvent], all_or_none: bool) -> Vec<Appended> {
        let before =
            if all_or_none { Some((self.events.clone(), self.marks.clone(), self.owed.clone())) } else { None };
        let next_mark = self.next_mark;
        let mut added = Vec::new();
        let outcomes: Vec<_> = events.iter().map(|event| self.append_one(event, &mut added)).collect();
        let is_refused = |outcome: &Appended| matches!(outcome, Appended::Conflict | Appended::Full);
        match before {
            Some(before) if outcomes.iter().any(is_refused) => {
                (self.events, self.marks, self.owed) = before;
                self.next_mark = next_mark;
                outcomes.into_iter().map(|o| if is_refused(&o) { o } else { Appended::NotTried }).collect()
            }
            Some(_) | None => outcomes,
        }
    }

    fn append_one(&mut self, event: &StoredEvent, added: &mut Vec<SubjectId>) -> Appended {
        let subject = event.event.subject;
        let stored = self.events.entry(subject).or_default();
        let (agency, id, revision, hash) = event.key();
        let mut same_revision =
            stored.iter().filter(|other| (agency, id, revision) == (other.key().0, other.key().1, other.key().2));
        let first = same_revision.next();
        let is_same = first.into_iter().chain(same_revision).any(|other| other.hash == hash);
        if is_same {
            let is_owed = added.contains(&subject) || self.owed.values().any(|owed| *owed == subject);
            return if is_owed { Appended::Duplicate(self.mark(subject)) } else { Appended::Settled };
        }
        if first.is_some() {
            return Appended::Conflict;
        }
        let counts = EventCounts::of(stored.iter().map(|other| (other.received_at, other.event.agency.as_str())));
        if !counts.has_room_for(&event.event) {
            return Appended::Full;
        }
        stored.push(event.clone());
        added.push(subject);
        let mark = self.mark(subject);
        self.owed.insert(mark.number, subject);
        Appended::New(mark)
    }

    fn mark(&mut self, subject: SubjectId) -> Mark {
        let number = self.next_mark;
        self.next_mark += 1;
        self.marks.insert(number, subject);
        Mark { stream: StreamId(0), number }
    }

    fn compare_and_set(&mut self, write: ViewWrite) -> CompareAndSet {
        let version = self.views.get(&write.subject).map_or(Version::ABSENT, |view| view.version);
        if version != write.expected {
            return CompareAndSet::Lost;
        }
        self.views.insert(write.subject, VersionedView { version: write.next, view: write.view });
        CompareAndSet::Set
    }

    fn publish(&mut self, stream: StreamId, changes: Vec<Change>, marks: &[Mark]) -> Option<u64> {
        let stream = self.streams.get_mut(&stream).filter(|stream| stream.open)?;
        stream.rows.extend(changes);
        let last = stream.rows.len() as u64;
        for mark in marks {
            self.marks.remove(&mark.number);
            self.owed.remove(&mark.number);
        }
        Some(last)
    }
}

/// The store as one process has it open.
pub struct EmbeddedModel {
    disk: Arc<Mutex<Disk>>,
    process: Arc<Process>,
    opened: u64,
    first_mark: u64,
    published: Notify,
    /// How far the follower of the process has come; empty without one.
    applied: Mutex<Vec<(StreamId, u64)>>,
    /// Not a `watch`, which wakes those who wait in an order that no seed decides.
    follower_moved: Notify,
}

impl EmbeddedModel {
    /// Opens it, as the next process does after the one before has ended.
    pub fn open(disk: Arc<Mutex<Disk>>, process: Arc<Process>) -> Arc<Self> {
        let (opened, first_mark) = {
            let mut on_disk = disk.lock();
            on_disk.streams.values_mut().for_each(|stream| stream.open = false);
            on_disk.streams.retain(|_, stream| !stream.rows.is_empty());
            on_disk.next_stream = on_disk.next_stream.max(1);
            on_disk.next_mark = on_disk.marks.last_key_value().map_or(1, |(mark, _)| mark + 1);
            on_disk.owed = on_disk.marks.clone();
            on_disk.opened += 1;
            (on_disk.opened, on_disk.next_mark)
        };
        Arc::new(Self {
            disk,
            process,
            opened,
            first_mark,
            published: Notify::new(),
            applied: Mutex::default(),
            follower_moved: Notify::new(),
        })
    }

    /// Writes once it is synced.
    async fn submit<T: Send + 'static>(&self, work: impl FnOnce(&mut Disk) -> T + Send + 'static) -> Result<T> {
        self.process.runs().await;
        let (disk, process, opened) = (Arc::clone(&self.disk), Arc::clone(&self.process), self.opened);
        let slow = if chance::one_in(weather().late) { chance::below(1_500) } else { 0 };
        let synced_in = chance::between(1, 5) + chance::below(weather().delay_ms + 1) + slow;
        let written = tokio::spawn(async move {
            wait(synced_in).await;
            let mut disk = disk.lock();
            let is_lost = disk.opened != opened || process.is_dead() && chance::one_in(2);
            (!is_lost).then(|| work(&mut disk))
        });
        let written = written.await.ok().flatten();
        self.process.runs().await;
        written.ok_or(StoreError::TimedOut)
    }

    /// Reads: they see durable rows only, and wait for no write.
    async fn read<T>(&self, work: impl FnOnce(&Disk) -> T) -> Result<T> {
        self.process.runs().await;
        let done = work(&self.disk.lock());
        wait(chance::below(weather().delay_ms.min(3))).await;
        self.process.runs().await;
        Ok(done)
    }

    async fn reached(&self, stream: StreamId, number: u64) {
        let has_reached = || {
            let applied = self.applied.lock();
            applied.is_empty() || applied.iter().any(|(id, through)| *id == stream && *through >= number)
        };
        let reached = async {
            loop {
                let mut moved = pin!(self.follower_moved.notified());
                moved.as_mut().enable(); // before the comparison, so that no move is missed
                if has_reached() {
                    return;
                }
                moved.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, reached).await;
    }

    async fn append(&self, events: Vec<StoredEvent>, all_or_none: bool) -> Result<Vec<Appended>> {
        let outcomes = self.submit(move |disk| disk.append(&events, all_or_none)).await?;
        if outcomes.contains(&Appended::Settled) {
            let open: Vec<_> = {
                let disk = self.disk.lock();
                let open = disk.streams.iter().filter(|(_, stream)| stream.open);
                open.map(|(id, stream)| (*id, stream.rows.len() as u64)).collect()
            };
            for (id, last) in open {
                self.reached(id, last).await;
            }
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl ViewReader for EmbeddedModel {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.read(|disk| disk.views.get(&subject).cloned()).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        self.read(|disk| subjects.iter().map(|subject| disk.views.get(subject).cloned()).collect()).await
    }
}

#[async_trait]
impl EventReader for EmbeddedModel {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        self.read(|disk| subjects.iter().map(|subject| disk.events(*subject)).collect()).await
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        let is_stored = |disk: &Disk, event: &StoredEvent| {
            disk.events.get(&event.event.subject).is_some_and(|stored| stored.iter().any(|o| o.key() == event.key()))
        };
        self.read(|disk| events.iter().map(|event| is_stored(disk, event)).collect()).await
    }
}

#[async_trait]
impl Feed for EmbeddedModel {
    async fn registry(&self) -> Result<Registry> {
        let state = |(id, stream): (&StreamId, &Stream)| StreamState {
            id: *id,
            last: stream.rows.len() as u64,
            open: stream.open,
        };
        let streams = self.read(|disk| disk.streams.iter().map(state).collect()).await?;
        Ok(Registry { streams, clock: None, epoch: EPOCH, regions: Vec::new() })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let rows = |disk: &Disk| {
            let rows = disk.streams.get(&stream).map_or(&[][..], |stream| &stream.rows);
            let numbered = (1..).zip(rows).skip(usize::try_from(after).unwrap_or(usize::MAX)).take(limit);
            numbered.map(|(number, change)| (number, Some(change.clone()))).collect()
        };
        self.read(rows).await
    }

    fn applied(&self, through: &[(StreamId, u64)]) {
        *self.applied.lock() = through.to_vec();
        self.follower_moved.notify_waiters();
    }

    async fn woken(&self) {
        self.published.notified().await;
    }
}

#[async_trait]
impl WriterStore for EmbeddedModel {
    fn region(&self) -> &str {
        "xian"
    }

    fn epoch(&self) -> u16 {
        EPOCH
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(100)
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.append(events, false).await
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.append(events, true).await
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        check_versions(&writes)?;
        self.submit(|disk| writes.into_iter().map(|write| disk.compare_and_set(write)).collect()).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        let open = |disk: &mut Disk| {
            let id = StreamId(disk.next_stream);
            disk.next_stream += 1;
            disk.streams.insert(id, Stream { rows: Vec::new(), open: true });
            id
        };
        let id = self.submit(open).await?;
        self.published.notify_one();
        Ok(id)
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let Some(last) = self.submit(move |disk| disk.publish(stream, changes, &marks)).await? else {
            return Ok(Published::Sealed);
        };
        self.published.notify_one();
        self.reached(stream, last).await;
        Ok(Published::Open)
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        let close = move |disk: &mut Disk| {
            if let Some(stream) = disk.streams.get_mut(&stream) {
                stream.open = false;
            }
        };
        self.submit(close).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        let mark = |(number, subject): (&u64, &SubjectId)| (Mark { stream: StreamId(0), number: *number }, *subject);
        self.read(|disk| disk.marks.range(..self.first_mark).map(mark).collect()).await
    }
}

/// As both engines do.
pub(crate) fn check_versions(writes: &[ViewWrite]) -> Result<()> {
    let is_wrong = |write: &ViewWrite| write.next <= write.expected || write.next < Version::floor(EPOCH);
    if writes.iter().any(is_wrong) { Err(StoreError::Rejected("a version".into())) } else { Ok(()) }
}
