//! The scan over all subjects, page by page.

use yima_harness::now;
use yima_store::cql::{CqlStore, migrate};
use yima_store::{Feed, SubjectScan, WriterStore};

use crate::cql::many_subjects::{event, subject};
use crate::cql::{cluster, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_visits_every_subject_once_in_pages_of_any_size() {
    let cluster = cluster();
    let options = options(&cluster, "paged", "xian");
    migrate(&options, None, now()).await.unwrap();
    let store = CqlStore::open(options).await.unwrap();
    store.append((0..300).flat_map(|n| [event(n, "a"), event(n, "b")]).collect()).await.unwrap();
    for limit in [2, 7, 300, 301] {
        let (mut after, mut seen) = (i64::MIN, Vec::new());
        while after < i64::MAX {
            let page = store.subjects(None, after, limit).await.unwrap();
            assert!(page.upto > after && page.subjects.iter().all(|(at, _)| *at > after && *at <= page.upto));
            after = page.upto;
            seen.extend(page.subjects.into_iter().map(|(_, subject)| subject));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..300).map(subject)), "in pages of {limit}");
    }
    let names = store.event_names(None, &[subject(5), subject(300)]).await.unwrap();
    assert_eq!((names[0].len(), names[1].len()), (2, 0));
    assert!(store.registry().await.is_ok());
}
