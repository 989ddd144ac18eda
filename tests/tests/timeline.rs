//! Codes that change by themselves, all at one instant.

use std::thread;
use std::time::Duration;

use serde_json::json;
use yima_tests::{Options, Yima, new_person, now};

const PEOPLE: usize = 100;
/// From the events until the instant: long enough to look at everybody before.
const AHEAD: Duration = Duration::from_secs(10);

/// Looks that were answered from memory, and all others.
fn looks(yima: &Yima) -> (f64, f64) {
    let metrics = yima.http().get(&format!("{}/metrics", yima.admin_url()), "").text().to_owned();
    let counts = metrics.lines().filter_map(|line| line.strip_prefix("cache_requests_total{")?.rsplit_once(' '));
    counts.fold((0.0, 0.0), |(hits, others), (labels, count)| {
        let count: f64 = count.parse().expect("a count");
        if labels.contains("hit_memory") { (hits + count, others) } else { (hits, others + count) }
    })
}

#[test]
fn many_codes_change_at_one_instant_and_nothing_is_read() {
    let yima = Yima::start(Options::default().unlimited());
    let agency = yima.agency_token("health-bureau");
    let people: Vec<_> = (0..PEOPLE).map(|_| new_person()).collect();
    let sessions: Vec<String> = people.iter().map(|person| yima.session_of(person)).collect();
    let until = now().plus(AHEAD);
    let rows: Vec<_> = people
        .iter()
        .enumerate()
        .map(|(n, person)| {
            let data = json!({"colour": "yellow", "reason": "close_contact", "until": until.to_string()});
            person.event(&format!("until-{n}"), "colour_assignment", &now().to_string(), data)
        })
        .collect();
    assert!(yima.rows(&agency, &rows).iter().all(|row| row["status"] == "accepted"));
    for session in &sessions {
        assert_eq!(yima.shown(session).0, "yellow");
    }
    assert!(now() < until, "this machine is too slow to look at everybody before");
    let (hits, others) = looks(&yima);
    // Nothing is waited for but the instant.
    thread::sleep(until.since(now()));
    while now() < until {
        thread::yield_now();
    }
    for session in &sessions {
        let reply = yima.display_now(session);
        assert_eq!(reply.json(200)["colour"]["code"], "green");
    }
    assert_eq!(looks(&yima), (hits + PEOPLE as f64, others));
}
