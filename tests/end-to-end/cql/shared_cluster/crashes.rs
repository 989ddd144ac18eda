//! Failpoints between any two steps of a writer: killed, paused or given an error there, it loses and delays nothing
//! acknowledged, and an unacknowledged event is either folded or absent.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use yima_harness::checker::{options, patient_options};
use yima_harness::{Options, Person, Region, RegionStore, Yima, new_person, until};
use yima_schema::time::{HOUR, Time};
use yima_store::failpoint::POINTS;
use yima_store::{Feed, MarkFeed};

use crate::cql::cluster;

/// Time from the loss of a writer until another has sealed its stream (after 2 s without a heartbeat) and settled its
/// marks, on a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(30);

/// One region with a writer and a read node that keep running, and its store, opened by the test.
struct Test {
    region: Region,
    other: Yima,
    reader: Yima,
    stored: RegionStore,
    lab: String,
}

impl Test {
    fn new(keyspace: &str, options: Options) -> Self {
        let region = Region::new(&cluster(), 1, "xian", keyspace, options);
        let (other, reader) = (region.writer(&[]), region.reader(&[]));
        let stored = RegionStore::open(&region);
        let lab = other.agency_token("lab-7");
        Self { region, other, reader, stored, lab }
    }

    /// Number of a subject's events in the store, and of those in its view. A view of all of them is the
    /// one that derives from them.
    fn stored(&self, person: &Person) -> (usize, usize) {
        let of = self.stored.read([person]).remove(0);
        assert!(of.is_fold || of.folded < of.events.len(), "the view does not derive from its events");
        (of.events.len(), of.folded)
    }

    /// Waits until the subject's events are folded, every stream but the living writers' is sealed, and no source is
    /// left to follow: the next writer would reach its failpoint with that. Returns the number of events.
    fn wait_for_takeover(&self, person: &Person, open_streams: usize) -> usize {
        let started = Instant::now();
        loop {
            let streams = self.stored.runtime.block_on(self.stored.store.registry()).unwrap().streams;
            let open = streams.iter().filter(|stream| stream.open).count();
            let (events, folded) = self.stored(person);
            let sources = self.stored.runtime.block_on(self.stored.store.sources()).unwrap().len();
            if open == open_streams && events == folded && sources == 0 {
                return events;
            }
            // Unlike the harness' `until`, the failure shows how far the takeover is.
            let waited = started.elapsed();
            assert!(
                waited < TAKEN_OVER,
                "after {waited:?}: {open} open streams, {sources} sources to follow, {folded} of {events} events folded"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first display of the read node that is true of a moment after the writer's last acknowledgement
    /// has this number of events.
    #[track_caller]
    fn assert_shows(&self, session: &str, events: usize, writer: &Yima) {
        let mut shown = 0;
        until("an answer of a moment after the acknowledgement", TAKEN_OVER, || {
            let reply = self.reader.display_now(session);
            let is_later = |as_of: Time| as_of > writer.acknowledged_at();
            let is_awaited = reply.status == 200 && reply.header("yima-as-of").parse().is_ok_and(is_later);
            if is_awaited {
                shown = reply.json(200)["tests"].as_array().map_or(0, Vec::len);
            }
            is_awaited
        });
        assert_eq!(shown, events);
    }

    /// Sends an event; returns its status, or `None` without an acknowledgement.
    fn send(&self, writer: &Yima, event: &Value) -> Option<String> {
        let url = format!("{}/v1/events", writer.writer_url());
        let reply = writer.http().push(&url, &self.lab, "application/json", event.to_string().as_bytes()).ok()?;
        (reply.status == 200).then(|| reply.json(200)["status"].as_str().unwrap().to_owned())
    }
}

/// Killed at each failpoint, a writer does not answer and another one takes over. The event is folded or absent; sent
/// again, it is acknowledged.
#[test]
fn a_writer_killed_at_any_step_leaves_its_event_folded_or_absent() {
    let test = Test::new("killed", options());
    let mut outcomes = Vec::new();
    for point in POINTS {
        let mut writer = test.region.writer(&[("FAILPOINT", &format!("{point}:kill"))]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let event = person.test("t-1", "negative", HOUR);
        assert_eq!(test.send(&writer, &event), None, "{point}: a dead writer has answered");
        assert!(!writer.wait().success(), "{point}: it was not killed");
        let kept = test.wait_for_takeover(&person, 1);
        outcomes.push((point, kept));
        let status = test.other.event(&test.lab, &event);
        assert_eq!(status, if kept == 1 { "duplicate" } else { "accepted" }, "{point}");
        test.assert_shows(&session, 1, &test.other);
    }
    // The event is kept if the writer was killed after writing it, and absent if before.
    let written = POINTS.iter().position(|point| *point == "event_written").unwrap();
    let expected: Vec<_> = POINTS.iter().enumerate().map(|(n, point)| (point, usize::from(n >= written))).collect();
    assert_eq!(outcomes, expected);
}

/// Paused at each failpoint, a writer finds its stream sealed by another one, which meanwhile accepts the same event
/// and one more. Resumed, it finishes its request.
#[test]
fn a_writer_paused_at_any_step_finishes_and_takes_nothing_back() {
    let test = Test::new("paused", options());
    for point in POINTS {
        let mut writer = test.region.writer(&[("FAILPOINT", &format!("{point}:stop"))]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let (event, later) = (person.test("t-1", "negative", HOUR * 2), person.test("t-2", "negative", HOUR));
        thread::scope(|scope| {
            let answer = scope.spawn(|| test.send(&writer, &event));
            writer.wait_until_paused();
            let resent = test.other.event(&test.lab, &event);
            assert!(["accepted", "duplicate"].contains(&resent.as_str()), "{point}: {resent}");
            test.assert_shows(&session, 1, &test.other);
            assert_eq!(test.other.event(&test.lab, &later), "accepted", "{point}");
            test.assert_shows(&session, 2, &test.other);
            assert_eq!(test.wait_for_takeover(&person, 1), 2, "{point}");
            writer.resume();
            // A database request under way may have timed out: then the outcome is unknown and
            // there is no acknowledgement.
            let answer = answer.join().unwrap();
            assert!(answer.is_none_or(|status| ["accepted", "duplicate"].contains(&status.as_str())), "{point}");
        });
        test.assert_shows(&session, 2, &test.other);
        assert_eq!(test.stored(&person), (2, 2), "{point}");
        assert!(writer.stop().success(), "{point}");
    }
}

/// A writer that gets no answer or an error from the database retries until it succeeds.
#[test]
fn a_writer_retries_past_timeouts_and_errors() {
    let test = Test::new("retried", patient_options());
    for failpoint in [
        "view_set:timeout",
        "view_set:unavailable",
        "views_set:timeout",
        "changes_written:unavailable",
        "stream_seen_open:timeout",
        "appended:unavailable",
    ] {
        // Only the failpoint's timeout counts: a real one before the event is durable is rightly answered 503.
        let mut writer = test.region.writer(&[("FAILPOINT", failpoint)]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let event = person.test("t-1", "negative", HOUR);
        assert_eq!(writer.event(&test.lab, &event), "accepted", "{failpoint}");
        assert!(writer.stderr().contains("failpoint triggered"), "{failpoint} did not happen");
        test.assert_shows(&session, 1, &writer);
        assert_eq!(test.stored(&person), (1, 1), "{failpoint}");
        assert!(writer.stop().success(), "{failpoint}");
    }
}
