//! Changes that reach a stream late or out of order, or expire: a read node applies each or begins a new generation.

use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use yima_harness::now;
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_read_api::config::CacheConfig;
use yima_schema::change::Change;
use yima_schema::subject::SubjectId;
use yima_schema::view::{Version, View};
use yima_store::cql::{CqlOptions, CqlStore};
use yima_store::{CompareAndSet, Feed, Published, ViewWrite, WriterStore};

use crate::cql::{cluster, open, options};
use crate::until_async;

const POLL_INTERVAL: Duration = Duration::from_millis(10);

fn change(n: u64, version: u64) -> Change {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    let subject = SubjectId::from_bytes(bytes);
    let view = View { subject: Some(subject), ..View::default() }.encode();
    Change { subject, version: Version(version), view, traced: None }
}

async fn reader(store: &Arc<CqlStore>) -> (Arc<ViewCache>, Follower) {
    let cache = ViewCache::new(store.clone(), &CacheConfig::default(), None, now);
    let follower = Follower::start(store.clone(), cache.clone(), POLL_INTERVAL, now).await.unwrap();
    (cache, follower)
}

/// Changes around the edge of a log segment (10,000 rows) are written in random order, as by concurrent writes. The
/// next poll applies each, skips none, and keeps the generation.
#[tokio::test(flavor = "multi_thread")]
async fn changes_out_of_order_around_a_segments_edge_are_all_applied() {
    let seed = std::env::var("YIMA_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    eprintln!("YIMA_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = cluster();
    let options = options(&cluster, "edges", "xian");
    let store = open(&options).await;
    let stream = store.open_stream().await.unwrap();
    let session = cluster.session(1).await;
    let (mut from, end) = (9_800_u64, 10_200);
    let write = async |numbers: &[u64]| {
        for number in numbers {
            let text = format!(
                "INSERT INTO edges_xian.changes (stream, part, number, body) VALUES ({}, {}, {number}, ?)",
                stream.0,
                number / 10_000
            );
            session.query_unpaged(text, (change(*number, *number).encode(),)).await.unwrap();
        }
    };
    // The last change before the reader starts.
    write(&[from]).await;
    let (cache, mut follower) = reader(&store).await;
    follower.jump(stream, from);
    let generation = cache.generation();
    while from < end {
        // Numbers in flight span up to 1,000.
        let span = random.random_range(1..=200).min(end - from);
        let mut numbers: Vec<u64> = (from + 1..=from + span).collect();
        numbers.shuffle(&mut random);
        for part in numbers.chunks(17) {
            write(part).await;
            follower.poll().await.unwrap();
            for number in part {
                let newest = cache.newest(change(*number, 0).subject);
                assert_eq!(newest, Version(*number), "change {number} was skipped, seed {seed}");
            }
        }
        from += span;
    }
    assert_eq!(cache.generation(), generation, "a new generation began though no change was missed");
    assert_eq!(follower.position(stream), end);
}

/// A change is published and expires between two polls, and the stream has no further changes. The
/// reader must detect the gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_expired_between_polls_begins_a_new_generation() {
    let cluster = cluster();
    let retention = Duration::from_secs(2);
    let options = CqlOptions { retention, beat_every: POLL_INTERVAL, ..options(&cluster, "idle", "xian") };
    let (writer, store) = (open(&options).await, open(&options).await);
    let stream = writer.open_stream().await.unwrap();
    let (cache, mut follower) = reader(&store).await;
    let change = change(1, Version::ABSENT.next(writer.epoch()).0);
    let absent = cache.get(change.subject, Version::ABSENT).await.unwrap();
    assert!(absent.entry.is_absent());

    let write = ViewWrite {
        subject: change.subject,
        expected: Version::ABSENT,
        next: change.version,
        view: change.view.clone(),
        denials: Vec::new(),
    };
    assert_eq!(writer.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    assert_eq!(writer.publish(stream, vec![change.clone()], Vec::new()).await.unwrap(), Published::Open);
    let has_expired = async || store.changes(stream, 0, 10).await.unwrap().is_empty();
    until_async("the change to expire, by the server's clock", Duration::from_secs(30), has_expired).await;
    let generation = cache.generation();
    follower.poll().await.unwrap();
    assert_ne!(cache.generation(), generation, "the gap was not detected");
    let answer = cache.get(change.subject, Version::ABSENT).await.unwrap();
    assert_eq!(answer.entry.version(), change.version);
}

/// The stream of a living writer is sealed: a later publication in it is not acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_stream_has_no_gaps_and_refuses_its_writer() {
    let cluster = cluster();
    let options = options(&cluster, "closing", "xian");
    let (writer, other) = (open(&options).await, open(&options).await);
    let stream = writer.open_stream().await.unwrap();
    writer.publish(stream, vec![change(1, 1), change(2, 1)], Vec::new()).await.unwrap();
    // Number 5 was written, and 3 and 4 were under way, when the stream is sealed.
    let session = cluster.session(1).await;
    let text = format!("INSERT INTO closing_xian.changes (stream, part, number, body) VALUES ({}, 0, 5, ?)", stream.0);
    session.query_unpaged(text, (change(5, 1).encode(),)).await.unwrap();
    other.close_stream(stream).await.unwrap();
    let rows = other.changes(stream, 0, 100).await.unwrap();
    let shape: Vec<_> = rows.iter().map(|(number, change)| (*number, change.is_some())).collect();
    assert_eq!(shape, [(1, true), (2, true), (3, false), (4, false), (5, true)]);
    let state = other.registry().await.unwrap().streams.into_iter().find(|s| s.id == stream).unwrap();
    assert_eq!((state.last, state.open), (5, false));
    assert_eq!(writer.publish(stream, vec![change(6, 1)], Vec::new()).await.unwrap(), Published::Sealed);
    // A reader from the start of the stream applies everything up to the end.
    let (cache, mut follower) = reader(&other).await;
    follower.jump(stream, 0);
    follower.poll().await.unwrap();
    assert_eq!(cache.newest(change(5, 0).subject), Version(1));
    assert_eq!(follower.position(stream), 5);
}
