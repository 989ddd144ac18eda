//! Live displays: server-sent events of a display.

use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Events, Options, Yima, new_person, now, until};
use yima_schema::time::HOUR;

/// An instance of its own that opens live displays at any utilization, and reports often.
fn start(options: Options) -> Yima {
    let options = options.env("YIMA_READ_API__LIVE_DISPLAYS__REPORT_EVERY_MS", 2_000);
    Yima::start(options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2))
}

/// The colours of the `display` events, in order.
fn colours(events: Events) -> impl Iterator<Item = String> {
    let displays = events.filter(|event| event.name == "display");
    displays.map(|event| event.json()["display"]["colour"]["code"].as_str().expect("a colour").to_owned())
}

#[test]
fn an_accepted_event_arrives_as_the_display_that_a_request_would_get() {
    let (yima, person) = (start(Options::default()), new_person());
    let lab = yima.agency_token("lab-7");
    assert_eq!(yima.event(&lab, &person.test("s-1", "negative", HOUR * 2)), "accepted");
    let session = yima.session_of(&person);
    let display = yima.display(&session);
    let mut events = yima.events(&session).expect("a live display");
    let first = events.next().expect("an event at once");
    assert_eq!((first.name.as_str(), first.id.as_str()), ("display", display.header("etag")));
    assert_eq!(first.json()["display"], display.json(200));

    assert_eq!(yima.event(&lab, &person.test("s-2", "positive", HOUR)), "accepted");
    let accepted = now();
    let red = events.find(|event| event.name == "display").expect("another display");
    assert_eq!(red.json()["display"]["colour"]["code"], "red");
    assert!(now().since(accepted) < Duration::from_secs(2), "{}", now().since(accepted).as_millis());
    // The next report is true of a moment after the acknowledgement.
    let unchanged = events.find(|event| event.name == "unchanged").expect("a report");
    assert!(unchanged.json()["as_of"].as_str().expect("a time") > accepted.to_string().as_str());
}

#[test]
fn a_colour_that_ends_at_its_time_arrives_then() {
    let (yima, person) = (start(Options::default()), new_person());
    let session = yima.session_of(&person);
    let end = now().plus(Duration::from_secs(3));
    let data = json!({"colour": "yellow", "reason": "close_contact", "until": end.to_string()});
    let assigned = person.event("s-until", "colour_assignment", &now().to_string(), data);
    assert_eq!(yima.event(&yima.agency_token("health-bureau"), &assigned), "accepted");
    yima.display(&session); // waits until the node has followed the event
    let mut colours = colours(yima.events(&session).expect("a live display"));
    assert_eq!(colours.next().as_deref(), Some("yellow"));
    assert_eq!(colours.next().as_deref(), Some("green"));
    let late = now().since(end);
    assert!(now() >= end && late < Duration::from_secs(2), "{} ms late", late.as_millis());
}

#[test]
fn open_live_displays_do_not_delay_a_stop() {
    let mut yima = start(Options::default());
    let people: Vec<_> = (0..20).map(|_| new_person()).collect();
    let mut live_displays: Vec<Events> = Vec::new();
    for person in &people {
        let mut events = yima.events(&yima.session_of(person)).expect("a live display");
        events.next().expect("an event at once");
        live_displays.push(events);
    }
    assert_eq!(yima.metric("live_displays_open", &[]), 20.0);
    assert_eq!(yima.metric("live_displays_refused_total", &[]), 0.0);
    let stopped_at = Instant::now();
    assert_eq!(yima.stop().code(), Some(0), "a task was dropped at the deadline");
    assert!(stopped_at.elapsed() < Duration::from_secs(5), "{:?}", stopped_at.elapsed());
    for events in live_displays {
        // Each response was ended properly.
        assert!(events.map(|event| event.name).all(|name| name == "unchanged"));
    }
}

#[test]
fn a_closed_connection_frees_its_live_display() {
    let yima = start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", 1));
    let [session, other_session] = [new_person(), new_person()].map(|person| yima.session_of(&person));
    let mut events = yima.events(&session).expect("a live display");
    events.next().expect("an event at once");
    assert_eq!(yima.events(&other_session).err(), Some(503));
    assert_eq!(yima.metric("live_displays_refused_total", &["reason=\"full\""]), 1.0);
    assert_eq!(yima.display_now(&other_session).status, 200);
    drop(events);
    until("no open live display", Duration::from_secs(20), || yima.metric("live_displays_open", &[]) == 0.0);
    yima.events(&other_session).expect("a live display").next().expect("an event at once");
}
