//! Timelines: many colours that change at one instant, without an event.

use std::thread;
use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Yima, new_person, now};

const PEOPLE: usize = 100;
/// Time from the events to the instant, in which every display is requested once.
const AHEAD: Duration = Duration::from_secs(10);

/// Lookups answered from memory, and all lookups.
fn lookups(yima: &Yima) -> (f64, f64) {
    let count = |labels: &[&str]| yima.metric("cache_requests_total", labels);
    (count(&["module=\"view\"", "outcome=\"hit_memory\""]), count(&["module=\"view\""]))
}

#[test]
fn many_colours_change_at_one_instant_without_a_load() {
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
    assert!(now() < until, "this machine is too slow to request every display before the instant");
    let (hits, all) = lookups(&yima);
    // A wait for the clock.
    thread::sleep(until.since(now()));
    while now() < until {
        thread::yield_now();
    }
    for session in &sessions {
        let reply = yima.display_now(session);
        assert_eq!(reply.json(200)["colour"]["code"], "green");
    }
    assert_eq!(lookups(&yima), (hits + PEOPLE as f64, all + PEOPLE as f64));
}
