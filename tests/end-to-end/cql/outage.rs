//! The read path alone: the database and the writer are dead, and the read node is killed and started in that state.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::checker::options;
use yima_harness::{Cluster, ClusterOptions, Region, Reply, Yima, new_person};
use yima_schema::time::Time;

/// After this, what was shown is not shown any more.
const MAX_STALE: Duration = Duration::from_secs(20);
/// For what has to happen by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is as it has to become.
fn until(reader: &Yima, session: &str, is_so: impl Fn(&Reply) -> bool) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = reader.display_now(session);
        if is_so(&reply) {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "{} {}", reply.header("cache-status"), reply.text());
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_stale(reply: &Reply) -> bool {
    reply.header("cache-status").contains("detail=stale")
}

fn as_of(reply: &Reply) -> Time {
    reply.header("yima-as-of").parse().expect("every display says what it is true of")
}

#[test]
fn with_everything_behind_it_dead_a_node_shows_what_was_true_and_says_when() {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().sync_commits()));
    let region = Region::new(&cluster, 1, "xian", "outage", options());
    let max_stale = MAX_STALE.as_secs().to_string();
    let mut writer = region.writer(&[]);
    let mut reader = region.reader(&[("YIMA_READ_API__CACHE__MAX_STALE_S", &max_stale)]);
    let lab = writer.agency_token("lab-7");
    let people: Vec<_> = (0..20).map(|_| new_person()).collect();
    for (n, person) in people.iter().enumerate() {
        let result = if n % 2 == 0 { "negative" } else { "positive" };
        assert_eq!(
            writer.event(&lab, &person.test(&format!("outage-{n}"), result, Duration::from_secs(60))),
            "accepted"
        );
    }
    let sessions: Vec<String> = people.iter().map(|person| reader.session_of(person)).collect();
    let is_fresh = |reply: &Reply| reply.status == 200 && !is_stale(reply) && as_of(reply) > writer.acknowledged_at();
    let before: Vec<_> =
        sessions.iter().map(|session| until(&reader, session, is_fresh).json(200)["colour"]["code"].clone()).collect();
    assert_eq!((before[0].as_str(), before[1].as_str()), (Some("green"), Some("red")));
    // Of whom it is known that nothing is known; during the outage that is not said.
    let stranger = reader.session_of(&new_person());
    assert_eq!(reader.display_now(&stranger).json(200)["colour"]["code"], "none");

    writer.kill9();
    cluster.node(1, 1).kill9();
    let stands_still = as_of(&until(&reader, &sessions[0], is_stale));
    let shows_everybody = |reader: &Yima, at_most: Time| {
        for (session, colour) in sessions.iter().zip(&before) {
            let reply = reader.display_now(session);
            assert_eq!(reply.json(200)["colour"]["code"], *colour);
            assert!(is_stale(&reply) && as_of(&reply) <= at_most, "{:?}", reply.headers);
        }
        // It was looked up last, and so is fresh for a moment longer.
        let unknown = until(reader, &stranger, |reply| reply.status != 200);
        assert_eq!(unknown.json(503)["type"], "https://yima.dev/problems/unavailable");
        assert!(!unknown.header("retry-after").is_empty());
    };
    shows_everybody(&reader, stands_still);
    reader.kill9();
    reader.restart();
    shows_everybody(&reader, stands_still);
    // A guard is told that nothing proves it.
    let verdict = reader.scan(&reader.checkpoint_session(), &reader.code(&sessions[0]));
    assert_eq!((verdict["verdict"].as_str(), verdict["reason"].as_str()), (Some("check"), Some("unproved")));

    until(&reader, &sessions[0], |reply| reply.status == 503);
    // What it knows of its last complete poll after a crash may be a second old.
    assert!(yima_harness::now().since(stands_still) + Duration::from_secs(1) >= MAX_STALE);

    cluster.node(1, 1).start();
    for (session, colour) in sessions.iter().zip(&before) {
        let reply = until(&reader, session, |reply| reply.status == 200 && !is_stale(reply));
        assert_eq!(reply.json(200)["colour"]["code"], *colour);
        assert!(as_of(&reply) > stands_still);
    }
    let loads = reader.metric("cache_requests_total", &["outcome=\"miss\""]);
    assert_eq!(loads, 0.0, "what was replayed needs no look-up");
}
