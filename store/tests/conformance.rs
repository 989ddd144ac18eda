//! The conformance suite on the embedded engine, and on engines that are wrong on purpose: the case named for each has
//! to fail.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use yima_store::conformance::{Harness, Store, cases, run};

use crate::fixture::open;
use crate::wrong::{Defect, Wrong};

/// Every call of `open` gets a directory of its own; `defect` is put in front of the engine.
struct Embedded {
    root: tempfile::TempDir,
    defect: Option<Defect>,
    /// Directory of the newest store: cases run one after another and reopen what they opened last.
    newest: parking_lot::Mutex<PathBuf>,
}

impl Embedded {
    fn new(defect: Option<Defect>) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { newest: parking_lot::Mutex::new(root.path().join("0")), root, defect }
    }

    fn start(&self) -> Arc<dyn Store> {
        let store = open(&self.newest.lock());
        match self.defect {
            None => store,
            Some(defect) => Arc::new(Wrong { store, defect }),
        }
    }
}

#[async_trait]
impl Harness for Embedded {
    async fn open(&self) -> Arc<dyn Store> {
        let number = std::fs::read_dir(self.root.path()).unwrap().count();
        *self.newest.lock() = self.root.path().join(number.to_string());
        self.start()
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        assert_eq!(Arc::strong_count(&store), 1);
        drop(store);
        self.start()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_engine_conforms() {
    run(&Embedded::new(None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_engine_is_caught() {
    for (defect, name) in Defect::CAUGHT_BY {
        let harness = Embedded::new(Some(*defect));
        let case = cases().into_iter().find(|case| case.name == *name).unwrap();
        assert!(case.run(&harness).await.is_err(), "{name} did not notice {defect:?}");
    }
}
