//! A store and feed in memory that a test holds in its hands: it can fail, and it can keep a look-up waiting.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicUsize, Ordering};

use crate::cache::follower::AWAY;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use yima_schema::change::Change;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::{Feed, Registry, Result, StoreError, StreamId, StreamState, VersionedView, ViewReader};

thread_local!(static NOW: Cell<i64> = const { Cell::new(1_000_000) });

/// The test's clock: one per thread, and each test has its own thread.
pub fn now() -> Time {
    Time::from_millis(NOW.get())
}

pub fn advance(ms: i64) {
    NOW.set(NOW.get() + ms);
}

pub fn subject(n: u8) -> SubjectId {
    let mut bytes = [0; 16];
    bytes[0] = n;
    SubjectId::from_bytes(bytes)
}

/// A view that belongs to `subject` and tells nothing else.
pub fn view(subject: SubjectId) -> Bytes {
    View { subject: Some(subject), ..View::default() }.encode()
}

pub struct TestStore {
    views: Mutex<BTreeMap<SubjectId, Version>>,
    streams: Mutex<BTreeMap<StreamId, Stream>>,
    /// Never used again, also when the streams have expired: as in both engines.
    next_stream: AtomicU32,
    pub failing: AtomicBool,
    /// Calls of it, whether about one subject or many.
    pub lookups: AtomicUsize,
    /// What the registry tells once.
    pub clock: Mutex<Option<Time>>,
    pub epoch: AtomicU16,
    /// Look-ups read first and then wait for a permit, so that what they bring can be old.
    pub gate: Semaphore,
}

/// Rows above `expired`, and `last` of them written.
struct Stream {
    rows: BTreeMap<u64, Option<Change>>,
    expired: u64,
    last: u64,
    closed_at: Option<Time>,
}

pub const STREAM: StreamId = StreamId(1);

impl TestStore {
    pub fn new() -> Arc<Self> {
        let store = Self {
            views: Mutex::default(),
            streams: Mutex::default(),
            next_stream: AtomicU32::new(STREAM.0),
            failing: AtomicBool::new(false),
            lookups: AtomicUsize::new(0),
            clock: Mutex::default(),
            epoch: AtomicU16::new(1),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        };
        store.open_stream();
        Arc::new(store)
    }

    /// Closes the stream and opens the next.
    pub fn open_stream(&self) {
        let mut streams = self.streams.lock();
        for stream in streams.values_mut() {
            stream.closed_at.get_or_insert(now());
        }
        let next = self.next_stream();
        streams.insert(StreamId(next), Stream { rows: BTreeMap::new(), expired: 0, last: 0, closed_at: None });
    }

    fn next_stream(&self) -> u32 {
        self.next_stream.fetch_add(1, Ordering::Relaxed)
    }

    /// Sets and publishes the next version of a view, as a writer does before it acknowledges.
    pub fn write(&self, subject: SubjectId) -> Version {
        let version = self.set(subject);
        self.append(Some(Change { subject, version, view: view(subject), traced: None }));
        version
    }

    /// Publishes the view that is there.
    pub fn append_again(&self, subject: SubjectId) {
        self.append(Some(Change { subject, version: self.version(subject), view: view(subject), traced: None }));
    }

    /// A number that a writer took and never used.
    pub fn leave_void(&self) {
        self.append(None);
    }

    fn append(&self, row: Option<Change>) {
        let mut streams = self.streams.lock();
        let mut open = streams.values_mut().rev().filter(|stream| stream.closed_at.is_none());
        let stream = open.next().expect("one is open");
        stream.last += 1;
        stream.rows.insert(stream.last, row);
    }

    /// Sets a view without publishing it.
    pub fn set(&self, subject: SubjectId) -> Version {
        let mut views = self.views.lock();
        let version = views.entry(subject).or_default();
        *version = Version(version.0 + 1);
        *version
    }

    /// Loses a view, as no store of ours does.
    pub fn lose(&self, subject: SubjectId) {
        self.views.lock().remove(&subject);
    }

    /// Another writer comes, writes a view, and goes.
    pub fn pass_by(&self, subject: SubjectId) {
        let version = self.set(subject);
        let mut streams = self.streams.lock();
        let next = self.next_stream();
        let rows = [(1, Some(Change { subject, version, view: view(subject), traced: None }))].into();
        streams.insert(StreamId(next), Stream { rows, expired: 0, last: 1, closed_at: Some(now()) });
    }

    /// Gives everyone who has a view another one, which nothing in the feed tells of, and says so.
    pub fn rebuild(&self) {
        self.views.lock().values_mut().for_each(|version| version.0 += 1);
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    pub fn version(&self, subject: SubjectId) -> Version {
        self.views.lock().get(&subject).copied().unwrap_or_default()
    }

    /// Expires every row that is there, and every stream that was closed as long ago as a follower may be away.
    pub fn expire(&self) {
        let mut streams = self.streams.lock();
        streams.retain(|_, stream| stream.closed_at.is_none_or(|at| now().since(at) < AWAY));
        for stream in streams.values_mut() {
            stream.expired = stream.last;
            stream.rows.clear();
        }
    }

    fn check(&self) -> Result<()> {
        let failing = self.failing.load(Ordering::Relaxed);
        if failing { Err(StoreError::Unavailable("by the test".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ViewReader for TestStore {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        Ok(self.lookup_many(&[subject]).await?.remove(0))
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let found = |subject: &SubjectId| {
            let (version, view) = (self.version(*subject), view(*subject));
            (version != Version::ABSENT).then_some(VersionedView { version, view })
        };
        let found = subjects.iter().map(found).collect();
        self.gate.acquire().await.expect("never closed").forget();
        Ok(found)
    }
}

#[async_trait]
impl Feed for TestStore {
    async fn registry(&self) -> Result<Registry> {
        self.check()?;
        let streams = self.streams.lock();
        let streams = streams
            .iter()
            .map(|(id, stream)| StreamState { id: *id, last: stream.last, open: stream.closed_at.is_none() })
            .collect();
        Ok(Registry {
            streams,
            clock: self.clock.lock().take(),
            epoch: self.epoch.load(Ordering::Relaxed),
            regions: Vec::new(),
        })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        self.check()?;
        let streams = self.streams.lock();
        let Some(stream) = streams.get(&stream) else { return Ok(Vec::new()) };
        let rows = stream.rows.range(after.max(stream.expired) + 1..);
        Ok(rows.take(limit).map(|(n, change)| (*n, change.clone())).collect())
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}
