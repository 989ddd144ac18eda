//! Clients of a run: laboratories that send and wait for the answer, and phones that ask one node after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::{Value, json};
use yima_schema::time::{DAY, Time};

use super::{Acknowledged, Record, Shown};
use crate::{Http, Person, now};

/// Where a run's clients go, and as whom.
pub struct Clients {
    /// The people, with a session that every read node takes.
    pub people: Vec<(Person, String)>,
    /// An agency's token.
    pub agency: String,
    /// Writers: region and URL, which changes when one is started again.
    pub writers: Vec<(usize, RwLock<String>)>,
    /// Read nodes, likewise.
    pub readers: Vec<(usize, RwLock<String>)>,
    /// Names of the regions, by which answers tell how far they have followed them.
    pub regions: Vec<String>,
    /// Events have moments of their own, from here on.
    pub clock: AtomicI64,
    /// Senders stop when this is set, and then readers.
    pub stop: AtomicBool,
}

/// How much of each.
#[derive(Clone, Copy)]
pub struct Load {
    /// Laboratories, each with a writer.
    pub senders: usize,
    /// Events that a laboratory sends about each of its people in all.
    pub events_each: usize,
    /// Events in one request.
    pub batch: usize,
    /// Phones' owners, each with all people, a region each.
    pub readers: usize,
    /// A laboratory sends its next request so long after the one before was answered; a phone asks after a twentieth of that.
    pub pause: Duration,
}

impl Clients {
    /// For these people and nodes.
    pub fn new(
        people: Vec<(Person, String)>,
        agency: String,
        writers: Vec<(usize, String)>,
        readers: Vec<(usize, String)>,
        regions: &[&str],
    ) -> Self {
        let regions = regions.iter().map(|region| (*region).to_owned()).collect();
        let clock = AtomicI64::new(now().minus(DAY).as_millis());
        let nodes = |nodes: Vec<(usize, String)>| nodes.into_iter().map(|(region, url)| (region, RwLock::new(url)));
        let (writers, readers) = (nodes(writers).collect(), nodes(readers).collect());
        Self { people, agency, writers, readers, regions, clock, stop: AtomicBool::new(false) }
    }

    /// Sends and reads until everything is sent or [`Self::stop`] is set, while `meanwhile` goes on in the caller's thread; then every
    /// node is asked about everybody once more. Returns what was recorded.
    ///
    /// # Panics
    /// If a client meets what none should.
    pub fn run(&self, load: Load, meanwhile: impl FnOnce()) -> Record {
        let mut record = Record::default();
        let sent = AtomicBool::new(false);
        thread::scope(|scope| {
            let senders: Vec<_> = (0..load.senders).map(|n| scope.spawn(move || self.send(n, load))).collect();
            let sent = &sent;
            let readers: Vec<_> =
                (0..load.readers).map(|n| scope.spawn(move || self.read(n, sent, load.pause / 20))).collect();
            let ends = Ends([&self.stop, sent]);
            meanwhile();
            drop(ends);
            for sender in senders {
                record.add(sender.join().expect("a sender that did not fail"));
            }
            sent.store(true, Ordering::SeqCst);
            for reader in readers {
                record.add(reader.join().expect("a reader that did not fail"));
            }
        });
        record
    }

    /// Asks every node about everybody until each answer is true of a moment after `since`.
    ///
    /// # Panics
    /// When that takes longer than `within`.
    pub fn look(&self, since: Time, within: Duration) -> Record {
        let mut record = Record::default();
        let begun = now();
        let http = Http::default();
        for (node, (region, _)) in self.readers.iter().enumerate() {
            for subject in 0..self.people.len() {
                let mut phone = Phone { session: usize::MAX - node, ..Phone::default() };
                loop {
                    let shown = self.display(&http, &mut phone, node, *region, subject, &mut record);
                    if shown.is_some_and(|shown| shown.as_of > since) {
                        break;
                    }
                    let waited = now().since(begun);
                    assert!(
                        waited < within,
                        "node {node} has nothing true of {since} about subject {subject} after {waited:?}"
                    );
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        record
    }

    fn send(&self, n: usize, load: Load) -> Record {
        let (region, url) = &self.writers[n % self.writers.len()];
        let http = Http::default();
        let mut record = Record::default();
        for _ in 0..load.events_each {
            // Each sender begins elsewhere, so that they meet about the same people at different moments.
            let subjects: Vec<usize> = (0..self.people.len()).map(|s| (s + n * 7) % self.people.len()).collect();
            for batch in subjects.chunks(load.batch) {
                if self.stop.load(Ordering::SeqCst) {
                    return record;
                }
                let events: Vec<(usize, i64)> =
                    batch.iter().map(|s| (*s, self.clock.fetch_add(1, Ordering::SeqCst))).collect();
                let body: String = events.iter().map(|(s, at)| format!("{}\n", self.event(*s, *at))).collect();
                let url = format!("{}/v1/events", url.read());
                let reply = http.push(&url, &self.agency, "application/x-ndjson", body.as_bytes());
                let at = now();
                let statuses =
                    reply.ok().filter(|reply| reply.status == 200).map(|reply| reply.rows()).unwrap_or_default();
                for (row, (subject, event)) in events.into_iter().enumerate() {
                    match statuses.get(row).and_then(|answer| answer["status"].as_str()) {
                        Some("accepted" | "duplicate") => {
                            record.acknowledged.push(Acknowledged { subject, event, region: *region, at });
                        }
                        _ => drop(record.unknown.insert((subject, event), at)),
                    }
                }
                if statuses.is_empty() {
                    thread::sleep(Duration::from_millis(50)); // nobody there: as a client that was refused waits
                }
                thread::sleep(load.pause);
            }
        }
        record
    }

    fn event(&self, subject: usize, at: i64) -> Value {
        let data = json!({ "test": "nucleic_acid", "result": "negative" });
        self.people[subject].0.event(&format!("t-{at}"), "test_result", &Time::from_millis(at).to_string(), data)
    }

    fn read(&self, n: usize, sent: &AtomicBool, pause: Duration) -> Record {
        let mut record = Record::default();
        let http = Http::default();
        let regions: BTreeSet<usize> = self.readers.iter().map(|(region, _)| *region).collect();
        let region = regions.into_iter().nth(n % self.regions.len()).expect("a region with read nodes");
        let nodes: Vec<usize> = (0..self.readers.len()).filter(|node| self.readers[*node].0 == region).collect();
        let mut phones: BTreeMap<usize, Phone> = BTreeMap::new();
        for turn in 0.. {
            if sent.load(Ordering::SeqCst) {
                break;
            }
            let subject = (turn * 13 + n) % self.people.len();
            let session = n * self.people.len() + subject;
            let phone = phones.entry(subject).or_insert_with(|| Phone { session, ..Phone::default() });
            if self.display(&http, phone, nodes[turn % nodes.len()], region, subject, &mut record).is_none() {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(pause);
        }
        record
    }

    /// Asks once, as a phone does that knows what it was shown before; notes the answer.
    fn display(
        &self,
        http: &Http,
        phone: &mut Phone,
        node: usize,
        region: usize,
        subject: usize,
        record: &mut Record,
    ) -> Option<Shown> {
        let bearer = format!("Bearer {}", self.people[subject].1);
        let mut headers = vec![("authorization", bearer.as_str())];
        if !phone.etag.is_empty() {
            headers.push(("if-none-match", &phone.etag));
        }
        let asked_at = now();
        let reply = http.ask(&format!("{}/v1/display", self.readers[node].1.read()), &headers).ok()?;
        let answered_at = now();
        let events = match reply.status {
            200 => reply.json(200)["tests"].as_array().map(|tests| tests.iter().map(sampled_at).collect())?,
            304 => phone.events.clone(),
            429 | 503 => {
                record.refused += 1;
                return None;
            }
            other => panic!("an answer of {other}: {}", String::from_utf8_lossy(&reply.body)),
        };
        let etag = reply.header("etag").to_owned();
        let as_of = reply.header("yima-as-of").parse().expect("an answer says what it is true of");
        let other_as_of = self.regions_as_of(reply.header("yima-regions-as-of"));
        phone.etag = etag;
        phone.events.clone_from(&events);
        let shown =
            Shown { subject, region, node, session: phone.session, asked_at, answered_at, as_of, other_as_of, events };
        record.shown.push(shown.clone());
        Some(shown)
    }

    /// `chengdu="2026-…Z", …`
    fn regions_as_of(&self, header: &str) -> Vec<(usize, Time)> {
        let member = |member: &str| {
            let (name, as_of) = member.trim().split_once('=')?;
            let region = self.regions.iter().position(|region| region == name)?;
            Some((region, as_of.trim_matches('"').parse().ok()?))
        };
        header.split(',').filter_map(member).collect()
    }
}

/// Ends clients when the test that they are of fails, which then waits for them.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.iter().for_each(|end| end.store(true, Ordering::SeqCst));
        }
    }
}

#[derive(Default)]
struct Phone {
    session: usize,
    etag: String,
    events: BTreeSet<i64>,
}

fn sampled_at(test: &Value) -> i64 {
    let at: Time = test["sampled_at"].as_str().unwrap_or_default().parse().expect("a moment");
    at.as_millis()
}
