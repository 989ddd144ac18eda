//! A writer that is killed, paused or lied to between any two of its steps: nothing acknowledged is lost or late, and what was not
//! acknowledged is folded or absent.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use yima_harness::checker::options;
use yima_harness::{Person, Region, RegionStore, Yima, new_person};
use yima_schema::time::HOUR;
use yima_store::failpoint::POINTS;
use yima_store::{Feed, MarkFeed};

use super::cluster;

/// From the loss of a writer until another has closed its stream (2 s of silence) and folded what it left, on a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(30);

/// One region with a writer and a read node that go on, and the store to look into.
struct Test {
    region: Region,
    other: Yima,
    reader: Yima,
    stored: RegionStore,
    lab: String,
}

impl Test {
    fn new(keyspace: &str) -> Self {
        let region = Region::new(&cluster(), 1, "xian", keyspace, options());
        let (other, reader) = (region.writer(&[]), region.reader(&[]));
        let stored = RegionStore::open(&region);
        let lab = other.agency_token("lab-7");
        Self { region, other, reader, stored, lab }
    }

    /// How many events the store has of somebody, and how many their view was made from; of all, it has to be what derives from them.
    fn stored(&self, person: &Person) -> (usize, usize) {
        let of = self.stored.read([person]).remove(0);
        assert!(of.is_fold || of.folded < of.events.len(), "the view is not what derives from its events");
        (of.events.len(), of.folded)
    }

    /// Waits until what is stored of somebody is folded, every stream but the living writers' is closed, and nothing is left in it that a
    /// writer would follow: the next one would come by its fault with that.
    fn taken_over(&self, person: &Person, open_streams: usize) -> usize {
        let begun = Instant::now();
        loop {
            let streams = self.stored.runtime.block_on(self.stored.store.registry()).unwrap().streams;
            let open = streams.iter().filter(|stream| stream.open).count();
            let (events, folded) = self.stored(person);
            let left = self.stored.runtime.block_on(self.stored.store.sources()).unwrap().len();
            if open == open_streams && events == folded && left == 0 {
                return events;
            }
            let waited = begun.elapsed();
            assert!(
                waited < TAKEN_OVER,
                "after {waited:?}: {open} streams are open, {left} to be followed, {folded} of {events} events are folded"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// That the read node shows exactly so many events of somebody, at a moment after everything that was acknowledged.
    fn shows(&self, person: &Person, session: &str, events: usize, acknowledged: &Yima) {
        let begun = Instant::now();
        loop {
            let reply = self.reader.display_now(session);
            if reply.status == 200
                && reply
                    .header("yima-as-of")
                    .parse()
                    .is_ok_and(|as_of: yima_schema::time::Time| as_of > acknowledged.acknowledged_at())
            {
                let shown = reply.json(200)["tests"].as_array().map_or(0, Vec::len);
                assert_eq!(shown, events, "{}", person.document.len());
                return;
            }
            assert!(begun.elapsed() < TAKEN_OVER, "no answer that is true of a moment after the acknowledgement");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn status(&self, writer: &Yima, event: &Value) -> Option<String> {
        let url = format!("{}/v1/events", writer.writer_url());
        let reply = writer.http().push(&url, &self.lab, "application/json", event.to_string().as_bytes()).ok()?;
        (reply.status == 200).then(|| reply.json(200)["status"].as_str().unwrap().to_owned())
    }
}

/// Killed at each point. The client has no answer; another writer takes over; the event is folded or absent; sent again it is taken.
#[test]
fn a_writer_killed_at_any_step_leaves_nothing_half_done() {
    let test = Test::new("killed");
    let mut outcomes = Vec::new();
    for point in POINTS {
        let mut writer = test.region.writer(&[("FAILPOINT", &format!("{point}:kill"))]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let event = person.test("t-1", "negative", HOUR);
        assert_eq!(test.status(&writer, &event), None, "{point}: a dead writer has answered");
        assert!(!writer.wait().success(), "{point}: it was not killed");
        let kept = test.taken_over(&person, 1);
        outcomes.push((point, kept));
        let status = test.other.event(&test.lab, &event);
        assert_eq!(status, if kept == 1 { "duplicate" } else { "accepted" }, "{point}");
        test.shows(&person, &session, 1, &test.other);
    }
    // Before the event is written there is nothing to keep; afterwards it is there.
    let written = POINTS.iter().position(|point| *point == "event_written").unwrap();
    let expected: Vec<_> = POINTS.iter().enumerate().map(|(n, point)| (point, usize::from(n >= written))).collect();
    assert_eq!(outcomes, expected);
}

/// Paused at each point until its stream has been closed by another, which meanwhile takes the same event again and one more; then it goes on
/// and finishes what it began.
#[test]
fn a_writer_paused_at_any_step_finishes_without_taking_anything_back() {
    let test = Test::new("paused");
    for point in POINTS {
        let mut writer = test.region.writer(&[("FAILPOINT", &format!("{point}:stop"))]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let (event, later) = (person.test("t-1", "negative", HOUR * 2), person.test("t-2", "negative", HOUR));
        thread::scope(|scope| {
            let answer = scope.spawn(|| test.status(&writer, &event));
            writer.wait_until_paused();
            let resent = test.other.event(&test.lab, &event);
            assert!(["accepted", "duplicate"].contains(&resent.as_str()), "{point}: {resent}");
            test.shows(&person, &session, 1, &test.other);
            assert_eq!(test.other.event(&test.lab, &later), "accepted", "{point}");
            test.shows(&person, &session, 2, &test.other);
            assert_eq!(test.taken_over(&person, 1), 2, "{point}");
            writer.resume();
            // A request to the database that was under way may have taken too long: then it says that it does not know.
            let answer = answer.join().unwrap();
            assert!(answer.is_none_or(|status| ["accepted", "duplicate"].contains(&status.as_str())), "{point}");
        });
        test.shows(&person, &session, 2, &test.other);
        assert_eq!(test.stored(&person), (2, 2), "{point}");
        assert!(writer.stop().success(), "{point}");
    }
}

/// A living writer that does not get an answer, or is refused, goes on until it is done.
#[test]
fn a_living_writer_gets_over_what_it_is_told() {
    let test = Test::new("told");
    for fault in [
        "view_set:timeout",
        "view_set:unavailable",
        "views_set:timeout",
        "changes_written:unavailable",
        "stream_seen_open:timeout",
        "appended:unavailable",
    ] {
        let writer = test.region.writer(&[("FAILPOINT", fault)]);
        let person = new_person();
        let session = test.reader.session_of(&person);
        let event = person.test("t-1", "negative", HOUR);
        assert_eq!(writer.event(&test.lab, &event), "accepted", "{fault}");
        assert!(writer.stderr().contains("a fault that a test asked for"), "{fault} did not happen");
        test.shows(&person, &session, 1, &writer);
        assert_eq!(test.stored(&person), (1, 1), "{fault}");
    }
}
