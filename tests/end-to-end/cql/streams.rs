//! What a read node makes of streams whose rows come late, or are gone.

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

use super::{cluster, open, options};

const EVERY: Duration = Duration::from_millis(10);

fn change(n: u64, version: u64) -> Change {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    let subject = SubjectId::from_bytes(bytes);
    let view = View { subject: Some(subject), ..View::default() }.encode();
    Change { subject, version: Version(version), view, traced: None }
}

async fn reader(store: &Arc<CqlStore>) -> (Arc<ViewCache>, Follower) {
    let views = ViewCache::new(store.clone(), &CacheConfig::default(), None, now);
    let follower = Follower::start(store.clone(), views.clone(), EVERY, now).await.unwrap();
    (views, follower)
}

/// Rows around the edge of a partition (10,000 rows each) come to stand in any order, as when their writes take turns. Each is seen at the
/// next poll, none is passed over, and no proof is begun anew.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_in_any_order_around_an_edge_are_all_seen() {
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
    // What was there before, of which only the last is looked at.
    write(&[from]).await;
    let (views, mut follower) = reader(&store).await;
    follower.jump(stream, from);
    let generation = views.generation();
    while from < end {
        // Numbers in flight span up to 1,000.
        let span = random.random_range(1..=200).min(end - from);
        let mut numbers: Vec<u64> = (from + 1..=from + span).collect();
        numbers.shuffle(&mut random);
        for part in numbers.chunks(17) {
            write(part).await;
            follower.poll().await.unwrap();
            for number in part {
                let newest = views.newest(change(*number, 0).subject);
                assert_eq!(newest, Version(*number), "row {number} was passed over, seed {seed}");
            }
        }
        from += span;
    }
    assert_eq!(views.generation(), generation, "a proof was begun anew though nothing was missed");
    assert_eq!(follower.position(stream), end);
}

/// The reader sleeps, a change is published, its row expires, nothing more happens. The reader must notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_expired_while_the_reader_slept_is_noticed_though_the_stream_is_idle() {
    let cluster = cluster();
    let retention = Duration::from_secs(2);
    let options = CqlOptions { retention, beat_every: EVERY, ..options(&cluster, "idle", "xian") };
    let (writer, store) = (open(&options).await, open(&options).await);
    let stream = writer.open_stream().await.unwrap();
    let (views, mut follower) = reader(&store).await;
    let change = change(1, Version::ABSENT.next(writer.epoch()).0);
    let absent = views.get(change.subject, Version::ABSENT).await.unwrap();
    assert!(absent.entry.is_absent());

    let write = ViewWrite {
        subject: change.subject,
        expected: Version::ABSENT,
        next: change.version,
        view: change.view.clone(),
    };
    assert_eq!(writer.compare_and_set(vec![write]).await.unwrap(), [CompareAndSet::Set]);
    assert_eq!(writer.publish(stream, vec![change.clone()], Vec::new()).await.unwrap(), Published::Open);
    while !store.changes(stream, 0, 10).await.unwrap().is_empty() {
        tokio::task::yield_now().await; // until it has expired, by the server's clock
    }
    let generation = views.generation();
    follower.poll().await.unwrap();
    assert_ne!(views.generation(), generation, "what was missed was not noticed");
    let answer = views.get(change.subject, Version::ABSENT).await.unwrap();
    assert_eq!(answer.entry.version(), change.version);
}

/// A writer that is taken for dead while it lives: what it publishes afterwards in its old stream is never acknowledged there.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stream_has_no_gaps_and_its_writer_notices() {
    let cluster = cluster();
    let options = options(&cluster, "closing", "xian");
    let (writer, other) = (open(&options).await, open(&options).await);
    let stream = writer.open_stream().await.unwrap();
    writer.publish(stream, vec![change(1, 1), change(2, 1)], Vec::new()).await.unwrap();
    // As if number 5 was written and 3 and 4 were on their way when the writer died.
    let session = cluster.session(1).await;
    let text = format!("INSERT INTO closing_xian.changes (stream, part, number, body) VALUES ({}, 0, 5, ?)", stream.0);
    session.query_unpaged(text, (change(5, 1).encode(),)).await.unwrap();
    other.close_stream(stream).await.unwrap();
    let rows = other.changes(stream, 0, 100).await.unwrap();
    let shape: Vec<_> = rows.iter().map(|(number, change)| (*number, change.is_some())).collect();
    assert_eq!(shape, [(1, true), (2, true), (3, false), (4, false), (5, true)]);
    let state = other.registry().await.unwrap().streams.into_iter().find(|s| s.id == stream).unwrap();
    assert_eq!((state.last, state.open), (5, false));
    assert_eq!(writer.publish(stream, vec![change(6, 1)], Vec::new()).await.unwrap(), Published::Closed);
    // A reader that begins before finds everything and then is done with it.
    let (views, mut follower) = reader(&other).await;
    follower.jump(stream, 0);
    follower.poll().await.unwrap();
    assert_eq!(views.newest(change(5, 0).subject), Version(1));
    assert_eq!(follower.position(stream), 5);
}
