//! Streams of a running instance: what a phone is told without asking.

use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Events, Options, Yima, new_person, now};
use yima_schema::time::HOUR;

/// An instance of its own, which opens streams also when the machine has much else to do.
fn start(options: Options) -> Yima {
    Yima::start(options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2))
}

/// The colours that the events tell, one after another; those that tell nothing new are left out.
fn colours(events: Events) -> impl Iterator<Item = String> {
    let displays = events.filter(|event| event.name == "display");
    displays.map(|event| event.json()["display"]["colour"]["code"].as_str().expect("a colour").to_owned())
}

#[test]
fn a_phone_is_told_what_a_display_would_say_as_soon_as_it_is_accepted() {
    let (yima, person) = (start(Options::default()), new_person());
    let lab = yima.agency_token("lab-7");
    assert_eq!(yima.event(&lab, &person.test("s-1", "negative", HOUR * 2)), "accepted");
    let session = yima.session_of(&person);
    let display = yima.display(&session);
    let mut events = yima.events(&session).expect("a stream");
    let first = events.next().expect("an event at once");
    assert_eq!((first.name.as_str(), first.id.as_str()), ("display", display.header("etag")));
    assert_eq!(first.json()["display"], display.json(200));

    assert_eq!(yima.event(&lab, &person.test("s-2", "positive", HOUR)), "accepted");
    let accepted = now();
    let red = events.find(|event| event.name == "display").expect("another display");
    assert_eq!(red.json()["display"]["colour"]["code"], "red");
    assert!(now().since(accepted) < Duration::from_secs(2), "{}", now().since(accepted).as_millis());
    // And it stays true: of moments after the event was accepted.
    let unchanged = events.find(|event| event.name == "unchanged").expect("a report");
    assert!(unchanged.json()["as_of"].as_str().expect("a time") > accepted.to_string().as_str());
}

#[test]
fn a_colour_that_changes_by_itself_is_told_when_it_does() {
    let (yima, person) = (start(Options::default()), new_person());
    let session = yima.session_of(&person);
    let until = now().plus(Duration::from_secs(3));
    let data = json!({"colour": "yellow", "reason": "close_contact", "until": until.to_string()});
    let assigned = person.event("s-until", "colour_assignment", &now().to_string(), data);
    assert_eq!(yima.event(&yima.agency_token("health-bureau"), &assigned), "accepted");
    yima.display(&session); // what was accepted is followed now
    let mut told = colours(yima.events(&session).expect("a stream"));
    assert_eq!(told.next().as_deref(), Some("yellow"));
    assert_eq!(told.next().as_deref(), Some("green"));
    let late = now().since(until);
    assert!(now() >= until && late < Duration::from_secs(2), "{} ms late", late.as_millis());
}

#[test]
fn open_streams_hold_up_no_stop() {
    let mut yima = start(Options::default());
    let people: Vec<_> = (0..20).map(|_| new_person()).collect();
    let mut streams: Vec<Events> = Vec::new();
    for person in &people {
        let mut events = yima.events(&yima.session_of(person)).expect("a stream");
        events.next().expect("an event at once");
        streams.push(events);
    }
    assert_eq!(yima.metric("live_displays_open", &[]), 20.0);
    assert_eq!(yima.metric("live_displays_refused_total", &[]), 0.0);
    let asked = Instant::now();
    assert_eq!(yima.stop().code(), Some(0), "nothing was dropped at the deadline");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    for events in streams {
        // Each was ended as a whole answer is.
        assert!(events.map(|event| event.name).all(|name| name == "unchanged"));
    }
}

#[test]
fn a_phone_that_went_away_gives_its_place_back() {
    let yima = start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", 1));
    let (me, other) = (new_person(), new_person());
    let (mine, others) = (yima.session_of(&me), yima.session_of(&other));
    let mut events = yima.events(&mine).expect("a stream");
    events.next().expect("an event at once");
    assert_eq!(yima.events(&others).err(), Some(503));
    assert_eq!(yima.metric("live_displays_refused_total", &["reason=\"full\""]), 1.0);
    assert_eq!(yima.display_now(&others).status, 200);
    drop(events);
    let begun = Instant::now();
    while yima.metric("live_displays_open", &[]) > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "its connection is closed, its place is not free");
    }
    yima.events(&others).expect("a stream").next().expect("an event at once");
}
