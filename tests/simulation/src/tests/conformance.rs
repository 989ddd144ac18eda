//! Both models pass the suite that both engines pass. What the simulation does not use of a store is kept beside them.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use yima_schema::audit::AuditRecord;
use yima_schema::change::Change;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::conformance::{Harness, Store, cases};
use yima_store::*;

use crate::cql::{CqlModel, Database};
use crate::embedded::{Disk, EmbeddedModel};
use crate::network::{self, Process};
use crate::{chance, clock, on_paused_time};

/// The cases of what the simulation uses: events, marks, views and streams.
const BESIDE: [&str; 6] = [
    "audit_records_read_back_in_order_and_stay",
    "a_dead_letter_is_kept_until_it_is_removed",
    "all_versions_of_a_resource_are_found",
    "denials_are_there_once_their_view_is_set",
    "one_of_two_releases_replaces_the_index",
    "parts_and_an_emergency_are_kept",
];

struct Whole(Arc<dyn crate::world::Store>);

#[async_trait]
impl ViewReader for Whole {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.0.lookup(subject).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        self.0.lookup_many(subjects).await
    }
}

#[async_trait]
impl EventReader for Whole {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        self.0.events(subjects).await
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        self.0.are_stored(events).await
    }
}

#[async_trait]
impl Feed for Whole {
    async fn registry(&self) -> Result<Registry> {
        self.0.registry().await
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        self.0.changes(stream, after, limit).await
    }

    async fn woken(&self) {
        self.0.woken().await;
    }
}

#[async_trait]
impl WriterStore for Whole {
    fn region(&self) -> &str {
        self.0.region()
    }

    fn epoch(&self) -> u16 {
        self.0.epoch()
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        self.0.turn_events()
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.0.append(events).await
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        self.0.append_all(events).await
    }

    async fn compare_and_set(&self, writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        self.0.compare_and_set(writes).await
    }

    async fn open_stream(&self) -> Result<StreamId> {
        self.0.open_stream().await
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        self.0.publish(stream, changes, marks).await
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.0.close_stream(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        self.0.unsettled().await
    }
}

fn not_simulated<T>() -> Result<T> {
    Err(StoreError::Rejected("not simulated".into()))
}

#[async_trait]
impl AuditLog for Whole {
    async fn audit(&self, _: &AuditRecord) -> Result<()> {
        not_simulated()
    }

    async fn audited(&self, _: Time, _: usize) -> Result<Vec<String>> {
        not_simulated()
    }
}

#[async_trait]
impl DeadLetterStore for Whole {
    async fn keep_dead_letters(&self, _: Vec<SealedLetter>) -> Result<()> {
        not_simulated()
    }

    async fn dead_letters(
        &self,
        _: Option<yima_schema::dead_letter::DeadLetterId>,
        _: usize,
    ) -> Result<Vec<SealedLetter>> {
        not_simulated()
    }

    async fn remove_dead_letter(&self, _: yima_schema::dead_letter::DeadLetterId) -> Result<()> {
        not_simulated()
    }
}

#[async_trait]
impl ResourceIndex for Whole {
    async fn note_resources(&self, _: Vec<ResourceVersion>) -> Result<()> {
        not_simulated()
    }

    async fn resource_versions(&self, _: &str, _: &str) -> Result<Vec<ResourceVersion>> {
        not_simulated()
    }
}

#[async_trait]
impl BundleReader for Whole {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        not_simulated()
    }

    async fn bundle_part(&self, _: [u8; 32]) -> Result<Option<bytes::Bytes>> {
        not_simulated()
    }
}

#[async_trait]
impl BundleStore for Whole {
    async fn lease_bundle(&self) -> Result<bool> {
        not_simulated()
    }

    async fn denials(&self, _: i64, _: Time, _: usize) -> Result<Vec<yima_schema::code::DenialTag>> {
        not_simulated()
    }

    async fn keep_bundle_part(&self, _: [u8; 32], _: bytes::Bytes) -> Result<()> {
        not_simulated()
    }

    async fn replace_bundle_index(&self, _: Option<Time>, _: StoredIndex) -> Result<bool> {
        not_simulated()
    }

    async fn emergency(&self) -> Result<Option<Vec<u8>>> {
        not_simulated()
    }

    async fn set_emergency(&self, _: Option<Vec<u8>>) -> Result<()> {
        not_simulated()
    }
}

/// Every case has a store of its own; reopening it kills the process that had it.
#[derive(Default)]
struct Models {
    is_cql: bool,
    disk: Mutex<Arc<Mutex<Disk>>>,
    database: Mutex<Arc<Database>>,
    process: Mutex<Arc<Process>>,
}

impl Models {
    fn start(&self) -> Arc<dyn Store> {
        let process = Arc::new(Process::default());
        std::mem::replace(&mut *self.process.lock(), Arc::clone(&process)).kill();
        if self.is_cql {
            Arc::new(Whole(CqlModel::open(self.database.lock().clone(), process, clock::OF_NODE[0])))
        } else {
            Arc::new(Whole(EmbeddedModel::open(self.disk.lock().clone(), process)))
        }
    }
}

#[async_trait]
impl Harness for Models {
    async fn open(&self) -> Arc<dyn Store> {
        *self.disk.lock() = Arc::default();
        *self.database.lock() = Arc::default();
        self.start()
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        let store = self.start();
        if self.is_cql {
            // As a writer's follower of marks does.
            let process = self.process.lock().clone();
            let successor = CqlModel::open(self.database.lock().clone(), process, clock::OF_NODE[0]);
            while store.registry().await.is_ok_and(|registry| registry.streams.iter().any(|stream| stream.open)) {
                let _ = successor.seal_dead_streams().await;
                clock::wait(500).await;
            }
        }
        store
    }
}

fn conforms(is_cql: bool) {
    bulk::without_threads();
    chance::begin(1);
    network::calm();
    on_paused_time(async {
        clock::begin();
        let models = Models { is_cql, ..Models::default() };
        for case in cases().into_iter().filter(|case| !BESIDE.contains(&case.name)) {
            case.run(&models).await.unwrap_or_else(|violation| panic!("{}: {violation}", case.name));
        }
    });
}

#[test]
fn the_embedded_model_conforms() {
    conforms(false);
}

#[test]
fn the_cql_model_conforms() {
    conforms(true);
}
