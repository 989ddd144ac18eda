//! Hints of writers to read nodes of their own: with them a change shows before the next poll, and whatever they say,
//! no answer is wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Options, Region, Yima, new_person, until};
use yima_schema::hints::HintKeys;
use yima_schema::time::{HOUR, Time};

use crate::cql::cluster;

const SOON: Duration = Duration::from_secs(10);

fn listening(writers: f64, reader: &Yima) {
    until("the node to listen", SOON, || reader.metric("feed_hint_writers", &[]) == writers);
}

/// The newest test of a display that answers now.
fn newest_test(reader: &Yima, session: &str) -> serde_json::Value {
    reader.display_now(session).json(200)["tests"][0]["result"].clone()
}

#[test]
fn a_hint_shows_a_change_long_before_the_next_poll_and_claims_no_later_moment() {
    let cluster = cluster();
    let never = Duration::from_secs(600).as_millis();
    let base =
        Options::default().env("YIMA_READ_API__CACHE__POLL_MS", never).env("YIMA_READ_API__CACHE__MAX_LAG_MS", never);
    let region = Region::new(&cluster, 1, "xian", "hints", base);
    let writer = region.writer(&[]);
    let writers = format!("[{:?}]", writer.writer_url().trim_start_matches("http://"));
    let hinted = region.reader(&[("YIMA_READ_API__WRITERS", &writers)]);
    let polling = region.reader(&[]);
    listening(1.0, &hinted);
    let (lab, person) = (writer.agency_token("lab-7"), new_person());
    assert_eq!(writer.event(&lab, &person.test("t-0", "negative", HOUR)), "accepted");
    let [at_hinted, at_polling] = [&hinted, &polling].map(|reader| reader.session_of(&person));
    assert_eq!(newest_test(&hinted, &at_hinted), json!("negative"));
    assert_eq!(newest_test(&polling, &at_polling), json!("negative"));
    for round in 1..=20 {
        let expected = if round % 2 == 0 { "negative" } else { "positive" };
        let mut event = person.test("t-1", expected, HOUR / 2);
        event["revision"] = round.into();
        let sent: Time = yima_harness::now();
        assert_eq!(writer.event(&lab, &event), "accepted");
        until("the change", SOON, || newest_test(&hinted, &at_hinted) == json!(expected));
        let as_of: Time = hinted.display_now(&at_hinted).header("yima-as-of").parse().expect("a time");
        assert!(as_of < sent, "a hint moved what is proved to {as_of}, after {sent}");
    }
    // In the same time: without hints the change waits for the poll.
    assert_eq!(newest_test(&polling, &at_polling), json!("negative"));
}

/// Answers every request as a writer would, with these bytes over and over.
fn hostile_writer(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = move |mut stream: TcpStream| {
        let mut request = [0; 4_096];
        if stream.read(&mut request).is_ok() && stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_ok() {
            while stream.write_all(&bytes).is_ok() {}
        }
    };
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
}

#[test]
fn neither_forged_nor_endless_hints_harm_a_read_node() {
    let cluster = cluster();
    let base = Options::default().env("YIMA_READ_API__CACHE__POLL_MS", 200);
    let region = Region::new(&cluster, 1, "xian", "hostile_hints", base);
    let writer = region.writer(&[]);
    let stolen = HintKeys::new(&region.pseudonym_key());
    // By a key that was stolen: at the writer's stream and at ones that do not exist; and bytes that nobody sealed.
    let flood = [1, 2, 999, u32::MAX].map(|stream| stolen.seal(stream)).concat();
    let hostile = [flood, vec![7; 4_096]].map(hostile_writer);
    let reader = region.reader(&[("YIMA_READ_API__WRITERS", &format!("{hostile:?}"))]);
    let hints = || reader.metric("feed_hints_total", &[]);
    until("hints", SOON, || hints() > 0.0);
    let (before, begun) = (hints(), Instant::now());
    let (lab, person) = (writer.agency_token("lab-7"), new_person());
    let session = reader.session_of(&person);
    for round in 0..20 {
        let expected = if round % 2 == 0 { "negative" } else { "positive" };
        let mut event = person.test("t-1", expected, HOUR);
        event["revision"] = round.into();
        assert_eq!(writer.event(&lab, &event), "accepted");
        until("the change", SOON, || newest_test(&reader, &session) == json!(expected));
    }
    let lag = reader.metric("cache_poll_lag_seconds", &[]);
    assert!(lag < 2.0, "polls go on; the last one began {lag} s ago");
    // One every 50 ms at most, however many arrive.
    let most = begun.elapsed().as_millis() as f64 / 50.0 + 2.0;
    assert!(hints() - before <= most, "{} hints followed, {most} expected at most", hints() - before);
}
