//! A model of the CQL engine: its steps, in their order, over a database of three replicas (`table.rs`). Any number of
//! processes share a database.

mod marks;
mod streams;
pub mod table;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use yima_schema::change::Change;
use yima_schema::event::{ContentHash, StoredEvent};
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{Result, StoreError, StreamId, VersionedView, Watermark};

use crate::chance;
use crate::clock::{self, wait};
use crate::network::Process;
use table::Table;

const EPOCH: u16 = 1;
/// As in the tests of whole processes.
const BEAT_EVERY_MS: u64 = 200;
const DEAD_AFTER: Duration = Duration::from_secs(2);
const REGION: &str = "xian";

type EventKey = (SubjectId, String, String, u64, ContentHash);

/// What the database has.
#[derive(Default)]
pub struct Database {
    /// The registry: one partition, so one row here.
    registry: Arc<Table<(), Registered>>,
    heartbeats: Arc<Table<StreamId, Heartbeat>>,
    positions: Arc<Table<StreamId, (u64, Time)>>,
    views: Arc<Table<SubjectId, VersionedView>>,
    events: Arc<Table<EventKey, StoredEvent>>,
    changes: Arc<Table<(StreamId, u64), Option<Change>>>,
    marks: Arc<Table<(StreamId, u64), Option<EventName>>>,
}

#[derive(Clone, Default)]
struct Registered {
    newest: u32,
    streams: BTreeMap<StreamId, StreamRow>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Closed,
}

#[derive(Clone, Copy)]
struct StreamRow {
    state: State,
    last_change: u64,
    last_mark: u64,
}

#[derive(Clone, Copy)]
struct Heartbeat {
    closed: bool,
    beats: i64,
    changes_written: u64,
    marks_written: u64,
    marks_settled: u64,
}

/// The numbers of one of a stream's two sequences.
#[derive(Default)]
struct Sequence {
    taken: u64,
    written: Watermark,
}

/// A stream of this process.
struct LocalStream {
    id: StreamId,
    changes: Mutex<Sequence>,
    marks: Mutex<Sequence>,
    settled: Mutex<Watermark>,
    beats: AtomicI64,
}

/// The store as one process reaches it.
pub struct CqlModel {
    /// Itself, for what goes on when a caller is cancelled.
    own: Weak<Self>,
    database: Arc<Database>,
    process: Arc<Process>,
    clock: fn() -> Time,
    local: Mutex<BTreeMap<StreamId, Arc<LocalStream>>>,
    opening: tokio::sync::Mutex<()>,
    published: Notify,
    /// The last heartbeat seen of each other open stream, and when it was first seen.
    seen: Mutex<BTreeMap<StreamId, (i64, Instant)>>,
    unsettled: Mutex<BTreeMap<StreamId, (u64, BTreeSet<u64>)>>,
}

impl CqlModel {
    /// Connects a process to the database.
    pub fn open(database: Arc<Database>, process: Arc<Process>, clock: fn() -> Time) -> Arc<Self> {
        let model = Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            database,
            process,
            clock,
            local: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            published: Notify::new(),
            seen: Mutex::default(),
            unsettled: Mutex::default(),
        });
        let weak = Arc::downgrade(&model);
        drop(tokio::spawn(async move {
            while let Some(model) = weak.upgrade() {
                model.beat_all().await;
            }
        }));
        model
    }

    /// The clock of one of the nodes.
    async fn database_clock(&self) -> Result<Time> {
        self.process.send().await?;
        let time = Time::from_millis(clock::now().as_millis() + table::ahead_of_any()?);
        self.process.receive().await?;
        Ok(time)
    }

    /// All events of a subject.
    async fn events_of(&self, subject: SubjectId) -> Result<Vec<StoredEvent>> {
        let least = (subject, String::new(), String::new(), 0, ContentHash([0; 16]));
        let most = (subject, "\u{10ffff}".to_owned(), String::new(), 0, ContentHash([0; 16]));
        let rows = self.database.events.read(&self.process, least..most, usize::MAX).await?;
        Ok(rows.into_iter().map(|(_, event)| event).collect())
    }
}

fn event_key(event: &StoredEvent) -> EventKey {
    let (agency, id, revision, hash) = event.key();
    (event.event.subject, agency.to_owned(), id.to_owned(), revision, hash)
}

fn name_key(name: &EventName) -> EventKey {
    (name.subject, name.agency.clone(), name.id.clone(), name.revision, name.hash)
}

/// Repeats a step until it succeeds, as the engine does with what must be finished once it has begun.
async fn retry_forever<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> T {
    let mut pause = 50;
    loop {
        match step().await {
            Ok(done) => return done,
            Err(
                StoreError::Unavailable(_)
                | StoreError::TimedOut
                | StoreError::Corrupt { .. }
                | StoreError::Rejected(_),
            ) => {
                wait(pause + chance::below(pause)).await;
                pause = (pause * 2).min(1_000);
            }
        }
    }
}
