//! The suite that the embedded engine passes, on CQL.

use std::sync::Arc;

use async_trait::async_trait;
use yima_store::conformance::{Harness, Store, run};
use yima_store::cql::{CqlOptions, CqlStore, migrate};
use yima_store::{Feed, WriterStore};
use yima_tests::now;

/// One region; `reopen` leaves everything as a killed process would, and closes its streams as a writer beside it would after a while.
struct Cql(CqlOptions);

#[async_trait]
impl Harness for Cql {
    async fn open(&self) -> Arc<dyn Store> {
        CqlStore::open(self.0.clone()).await.unwrap()
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
    let options = CqlOptions { keyspace: "conformance".into(), ..CqlOptions::new("xian", [7; 16]) };
    let steps = migrate(&options, None, now()).await.unwrap();
    eprintln!("{steps:?}");
    run(&Cql(options)).await.unwrap();
}
