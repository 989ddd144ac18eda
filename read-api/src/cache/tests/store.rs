//! A store and feed in memory that a test holds in its hands: it can fail, and it can keep a look-up waiting.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

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
    rows: Mutex<BTreeMap<u64, Option<Change>>>,
    first: Mutex<u64>,
    pub failing: AtomicBool,
    pub lookups: AtomicUsize,
    /// What the registry tells once.
    pub clock: Mutex<Option<Time>>,
    pub epoch: AtomicU16,
    /// Look-ups read first and then wait for a permit, so that what they bring can be old.
    pub gate: Semaphore,
}

pub const STREAM: StreamId = StreamId(1);

impl TestStore {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            views: Mutex::default(),
            rows: Mutex::default(),
            first: Mutex::new(1),
            failing: AtomicBool::new(false),
            lookups: AtomicUsize::new(0),
            clock: Mutex::default(),
            epoch: AtomicU16::new(1),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Sets and publishes the next version of a view, as a writer does before it acknowledges.
    pub fn write(&self, subject: SubjectId) -> Version {
        let version = self.set(subject);
        let mut rows = self.rows.lock();
        let number = rows.last_key_value().map_or(*self.first.lock(), |(n, _)| n + 1);
        rows.insert(number, Some(Change { subject, version, view: view(subject) }));
        version
    }

    /// A number that a writer took and never used.
    pub fn leave_void(&self) {
        let mut rows = self.rows.lock();
        let last = rows.last_key_value().map_or(0, |(n, _)| *n);
        rows.insert(last + 1, None);
    }

    /// Sets a view without publishing it.
    pub fn set(&self, subject: SubjectId) -> Version {
        let mut views = self.views.lock();
        let version = views.entry(subject).or_default();
        *version = Version(version.0 + 1);
        *version
    }

    pub fn version(&self, subject: SubjectId) -> Version {
        self.views.lock().get(&subject).copied().unwrap_or_default()
    }

    /// Expires every row that is there.
    pub fn expire(&self) {
        let mut rows = self.rows.lock();
        if let Some((last, _)) = rows.last_key_value() {
            *self.first.lock() = last + 1;
        }
        rows.clear();
    }

    fn check(&self) -> Result<()> {
        let failing = self.failing.load(Ordering::Relaxed);
        if failing { Err(StoreError::Unavailable("by the test".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ViewReader for TestStore {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.check()?;
        let version = self.version(subject);
        self.gate.acquire().await.expect("never closed").forget();
        let found = VersionedView { version, view: view(subject) };
        Ok((version != Version::ABSENT).then_some(found))
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let mut found = Vec::new();
        for subject in subjects {
            found.push(self.lookup(*subject).await?);
        }
        Ok(found)
    }
}

#[async_trait]
impl Feed for TestStore {
    async fn registry(&self) -> Result<Registry> {
        self.check()?;
        let first = *self.first.lock();
        let last = self.rows.lock().last_key_value().map_or(first - 1, |(n, _)| *n);
        let streams = vec![StreamState { id: STREAM, last, open: true }];
        Ok(Registry {
            streams,
            clock: self.clock.lock().take(),
            epoch: self.epoch.load(Ordering::Relaxed),
            regions: Vec::new(),
        })
    }

    async fn changes(&self, _: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        self.check()?;
        Ok(self.rows.lock().range(after + 1..).take(limit).map(|(n, change)| (*n, change.clone())).collect())
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}
