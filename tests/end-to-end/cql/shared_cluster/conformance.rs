//! The conformance suite of the store engines, on CQL; and concurrent migrations.

use std::sync::Arc;

use async_trait::async_trait;
use yima_harness::now;
use yima_schema::cql::{Migration, REGION, SHARED};
use yima_store::conformance::{Harness, Store, run};
use yima_store::cql::{CqlOptions, CqlStore, Step, migrate};
use yima_store::{Feed, WriterStore};

use crate::cql::{cluster, open, options};

/// One region. `reopen` leaves the store as a killed process would, then seals its streams as another
/// writer would after a while.
struct Cql(CqlOptions);

#[async_trait]
impl Harness for Cql {
    async fn open(&self) -> Arc<dyn Store> {
        open(&self.0).await
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1);
        drop(store);
        let store = CqlStore::open(self.0.clone()).await.unwrap();
        for stream in store.registry().await.unwrap().streams.into_iter().filter(|stream| stream.open) {
            store.close_stream(stream.id).await.unwrap();
        }
        store
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cql_engine_conforms() {
    let cluster = cluster();
    run(&Cql(options(&cluster, "conformance", "xian"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_from_both_regions_apply_each_step_once() {
    let cluster = cluster();
    let migrations = ["xian", "chengdu", "xian", "chengdu"].map(|region| {
        let options = options(&cluster, "migrated", region);
        tokio::spawn(async move { migrate(&options, None, now()).await.unwrap() })
    });
    let mut applied = Vec::new();
    for migration in migrations {
        let steps = migration.await.unwrap();
        applied.extend(steps.into_iter().filter(|step| matches!(step, Step::Applied(..) | Step::Registered)));
    }
    let of = |keyspace: &'static str, migrations: &'static [Migration]| {
        migrations.iter().map(move |migration| Step::Applied(keyspace.into(), migration.number, migration.name))
    };
    let mut expected: Vec<Step> = of("migrated", SHARED).chain([Step::Registered, Step::Registered]).collect();
    expected.extend(["migrated_chengdu", "migrated_xian"].into_iter().flat_map(|keyspace| of(keyspace, REGION)));
    for steps in [&mut applied, &mut expected] {
        steps.sort_unstable_by_key(|step| format!("{step:?}"));
    }
    assert_eq!(applied, expected);
    let again = migrate(&options(&cluster, "migrated", "xian"), None, now()).await.unwrap();
    assert_eq!(again, []);
}
