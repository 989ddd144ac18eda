//! `refold` after a change of the rules.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use yima_harness::now;
use yima_schema::derive::DERIVE_VERSION;
use yima_store::cql::CqlStore;
use yima_store::{StoreError, SubjectScan};
use yima_writer::config::RefoldConfig;
use yima_writer::follow::MarkFollower;
use yima_writer::refold::Refold;

use crate::cql::many_subjects::{SUBJECTS, commit, event, folder, quick, views};
use crate::cql::{cluster, open, options};
use crate::until_async;

/// A writer with newer rules starts beside one with older rules, which stops. Then all subjects are folded again: by a
/// refold that is killed, and one that resumes it.
#[tokio::test(flavor = "multi_thread")]
async fn newer_rules_stop_older_writers_and_refold_all_subjects() {
    let cluster = cluster();
    let options = quick(options(&cluster, "ruled", "xian"));
    let store = open(&options).await;
    let old = Arc::new(folder(&store, 1).await.unwrap());
    commit(&old, 0..SUBJECTS, "a").await;
    let stopping = tokio::spawn(MarkFollower::new(store.clone(), old.clone()).run());

    let store_of_new = CqlStore::open(options.clone()).await.unwrap();
    let new = Arc::new(folder(&store_of_new, 2).await.unwrap());
    let refold = |per_s| {
        let config = RefoldConfig { subjects_per_s: NonZeroU32::new(per_s).unwrap() };
        Refold::new(store_of_new.clone(), new.clone(), config, now)
    };
    assert!(!refold(10_000).once().await.unwrap(), "a refold beside an older writer, which could fold behind it");
    tokio::time::timeout(Duration::from_secs(10), stopping).await.expect("the older writer stops").unwrap();
    assert!(matches!(old.commit(vec![event(0, "b")]).await, Err(StoreError::Rejected(_))));
    old.close().await.unwrap();
    let refused = folder(&store, 1).await.map(drop);
    assert!(matches!(&refused, Err(StoreError::Rejected(why)) if why.contains("version 2")), "{refused:?}");

    let killed = tokio::spawn(refold(400).run());
    let progress = async || store.progress(&format!("refold/2/{DERIVE_VERSION}")).await.unwrap();
    until_async("progress of the refold", Duration::from_secs(60), async || progress().await.is_some()).await;
    killed.abort();
    let first = progress().await.unwrap();
    assert!(!first.is_done());
    let views_by = async |rules| views(&store, SUBJECTS).await.values().filter(|view| view.2 == rules).count();
    assert!(views_by(1).await > 0);
    tokio::time::timeout(Duration::from_secs(30), refold(10_000).run()).await.expect("the refold ends");
    assert_eq!((views_by(1).await, views_by(2).await), (0, SUBJECTS as usize));
    let done = progress().await.unwrap();
    assert!(done.is_done() && done.started_at == first.started_at, "the refold started over");
    assert_eq!(done.counts["subjects"], u64::from(SUBJECTS));
    assert!(refold(1).once().await.unwrap(), "a finished refold runs again");
    new.close().await.unwrap();
}
