//! The read path alone: database and writer are killed, and the read node is killed and restarted without them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::checker::options;
use yima_harness::{Cluster, ClusterOptions, Region, Reply, Yima, new_person, until};
use yima_schema::time::Time;

/// Age up to which a stale view is served.
const MAX_STALE: Duration = Duration::from_secs(20);
/// Time for an awaited answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests displays until one meets the condition; returns it. Unlike the harness' `until`, the
/// failure shows the last answer.
fn display_until(reader: &Yima, session: &str, is_awaited: impl Fn(&Reply) -> bool) -> Reply {
    let started = Instant::now();
    loop {
        let reply = reader.display_now(session);
        if is_awaited(&reply) {
            return reply;
        }
        assert!(started.elapsed() < PATIENCE, "{} {}", reply.header("cache-status"), reply.text());
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_stale(reply: &Reply) -> bool {
    reply.header("cache-status").contains("detail=stale")
}

fn as_of(reply: &Reply) -> Time {
    reply.header("yima-as-of").parse().expect("every display has an as-of time")
}

#[test]
fn a_read_node_without_database_and_writer_serves_stale_views_with_their_time() {
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
    let colour = |session: &String| display_until(&reader, session, is_fresh).json(200)["colour"]["code"].clone();
    let before: Vec<_> = sessions.iter().map(colour).collect();
    assert_eq!((before[0].as_str(), before[1].as_str()), (Some("green"), Some("red")));
    // An unknown subject: its absence is proved now, and cannot be proved during the outage.
    let stranger = reader.session_of(&new_person());
    assert_eq!(reader.display_now(&stranger).json(200)["colour"]["code"], "none");

    writer.kill9();
    cluster.node(1, 1).kill9();
    let last_as_of = as_of(&display_until(&reader, &sessions[0], is_stale));
    let assert_shows_everybody = |reader: &Yima, at_most: Time| {
        for (session, colour) in sessions.iter().zip(&before) {
            let reply = reader.display_now(session);
            assert_eq!(reply.json(200)["colour"]["code"], *colour);
            assert!(is_stale(&reply) && as_of(&reply) <= at_most, "{:?}", reply.headers);
        }
        // The absence was loaded last, and so stays fresh a moment longer.
        let unknown = display_until(reader, &stranger, |reply| reply.status != 200);
        assert_eq!(unknown.json(503)["type"], "https://yima.dev/problems/unavailable");
        assert!(!unknown.header("retry-after").is_empty());
    };
    assert_shows_everybody(&reader, last_as_of);
    reader.kill9();
    reader.restart();
    assert_shows_everybody(&reader, last_as_of);
    // A citizen signs in, without database and writer.
    let anew = reader.citizen_session(&people[1].document);
    assert_eq!(reader.display_now(&anew).json(200)["colour"]["code"], before[1]);
    // A scan says that the view is unproved.
    let verdict = reader.scan(&reader.checkpoint_session(), &reader.code(&sessions[0]));
    assert_eq!((verdict["verdict"].as_str(), verdict["reason"].as_str()), (Some("check"), Some("unproved")));

    display_until(&reader, &sessions[0], |reply| reply.status == 503);
    // After a crash, the saved time of the last complete poll may lack a second.
    assert!(yima_harness::now().since(last_as_of) + Duration::from_secs(1) >= MAX_STALE);

    cluster.node(1, 1).start();
    // A display between the database's return and the first poll would rightly be loaded.
    let is_followed = || reader.metric("cache_poll_lag_seconds", &[]) < 2.0;
    until("the feed to be followed again", PATIENCE, is_followed);
    for (session, colour) in sessions.iter().zip(&before) {
        let reply = display_until(&reader, session, |reply| reply.status == 200 && !is_stale(reply));
        assert_eq!(reply.json(200)["colour"]["code"], *colour);
        assert!(as_of(&reply) > last_as_of);
    }
    let loads = reader.metric("cache_requests_total", &["module=\"view\"", "outcome=\"miss\""]);
    assert_eq!(loads, 0.0, "a view that the feed replayed was loaded");
}
