//! A store and feed in memory under a test's control: it can fail, and it can hold lookups at a gate.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicUsize, Ordering};

use crate::cache::follower::MAX_AWAY;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use yima_schema::change::Change;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::{
    BundleReader, Feed, Registry, Result, StoreError, StoredIndex, StreamId, StreamState, VersionedView, ViewReader,
};

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

/// A view of `subject` without content.
pub fn view(subject: SubjectId) -> Bytes {
    View { subject: Some(subject), ..View::default() }.encode()
}

pub struct TestStore {
    views: Mutex<BTreeMap<SubjectId, Version>>,
    /// Views with content; others have none.
    contents: Mutex<BTreeMap<SubjectId, Bytes>>,
    streams: Mutex<BTreeMap<StreamId, Stream>>,
    /// Never reused, even after streams have expired, as in both engines.
    next_stream: AtomicU32,
    pub failing: AtomicBool,
    /// Whether lookups are rejected, as after a revoked permission.
    pub rejecting: AtomicBool,
    /// Number of lookup calls, whether of one subject or many.
    pub lookups: AtomicUsize,
    /// Number of reads of the registry.
    pub registries: AtomicUsize,
    /// Number of reads of changes.
    pub reads: AtomicUsize,
    /// The store's clock, returned with the registry once.
    pub clock: Mutex<Option<Time>>,
    pub epoch: AtomicU16,
    /// Other regions, as the registry shows them.
    pub regions: Mutex<Vec<(String, Option<Time>)>>,
    /// Lookups read first and then wait for a permit, so that their result can be old.
    pub gate: Semaphore,
}

/// A stream with numbers up to `last`, of which those up to `expired` have expired.
struct Stream {
    rows: BTreeMap<u64, Option<Change>>,
    expired: u64,
    last: u64,
    sealed_at: Option<Time>,
}

pub const STREAM: StreamId = StreamId(1);

impl TestStore {
    pub fn new() -> Arc<Self> {
        let store = Self {
            views: Mutex::default(),
            contents: Mutex::default(),
            streams: Mutex::default(),
            next_stream: AtomicU32::new(STREAM.0),
            failing: AtomicBool::new(false),
            rejecting: AtomicBool::new(false),
            lookups: AtomicUsize::new(0),
            registries: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            clock: Mutex::default(),
            epoch: AtomicU16::new(1),
            regions: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        };
        store.open_stream();
        Arc::new(store)
    }

    /// Seals the open stream and opens the next.
    pub fn open_stream(&self) {
        let mut streams = self.streams.lock();
        for stream in streams.values_mut() {
            stream.sealed_at.get_or_insert(now());
        }
        let next = self.next_stream();
        streams.insert(StreamId(next), Stream { rows: BTreeMap::new(), expired: 0, last: 0, sealed_at: None });
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

    /// Publishes the current view.
    pub fn append_again(&self, subject: SubjectId) {
        self.append(Some(Change { subject, version: self.version(subject), view: view(subject), traced: None }));
    }

    /// Leaves a number unused.
    pub fn leave_void(&self) {
        self.append(None);
    }

    fn append(&self, row: Option<Change>) {
        let mut streams = self.streams.lock();
        let mut open = streams.values_mut().rev().filter(|stream| stream.sealed_at.is_none());
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

    /// The same with content.
    pub fn set_content(&self, subject: SubjectId, view: Bytes) -> Version {
        self.contents.lock().insert(subject, view);
        self.set(subject)
    }

    /// Loses a view, which no engine does.
    pub fn lose(&self, subject: SubjectId) {
        self.views.lock().remove(&subject);
    }

    /// Another writer opens a stream, writes a view, and seals the stream.
    pub fn brief_writer(&self, subject: SubjectId) {
        let version = self.set(subject);
        let mut streams = self.streams.lock();
        let next = self.next_stream();
        let rows = [(1, Some(Change { subject, version, view: view(subject), traced: None }))].into();
        streams.insert(StreamId(next), Stream { rows, expired: 0, last: 1, sealed_at: Some(now()) });
    }

    /// Raises the version of every view without publishing a change, and raises the epoch.
    pub fn rebuild(&self) {
        self.views.lock().values_mut().for_each(|version| version.0 += 1);
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    pub fn version(&self, subject: SubjectId) -> Version {
        self.views.lock().get(&subject).copied().unwrap_or_default()
    }

    /// Expires every change, and every stream that was sealed as long ago as a follower may be away.
    pub fn expire(&self) {
        let mut streams = self.streams.lock();
        streams.retain(|_, stream| stream.sealed_at.is_none_or(|at| now().since(at) < MAX_AWAY));
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
        if self.rejecting.load(Ordering::Relaxed) {
            return Err(StoreError::Rejected("by the test".into()));
        }
        let found = |subject: &SubjectId| {
            let content = self.contents.lock().get(subject).cloned();
            let (version, view) = (self.version(*subject), content.unwrap_or_else(|| view(*subject)));
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
        self.registries.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let streams = self.streams.lock();
        let streams = streams
            .iter()
            .map(|(id, stream)| StreamState { id: *id, last: stream.last, open: stream.sealed_at.is_none() })
            .collect();
        Ok(Registry {
            streams,
            clock: self.clock.lock().take(),
            epoch: self.epoch.load(Ordering::Relaxed),
            regions: self.regions.lock().clone(),
        })
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
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

/// No bundle is ever released.
#[async_trait]
impl BundleReader for TestStore {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        Ok(None)
    }

    async fn bundle_part(&self, _sha256: [u8; 32]) -> Result<Option<Bytes>> {
        Ok(None)
    }
}
