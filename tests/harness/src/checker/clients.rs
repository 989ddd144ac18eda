//! Clients of a run: laboratories that send events and wait for the answer, and phones that read displays from one node
//! after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::{Value, json};
use yima_schema::time::{DAY, Time};

use super::{Acknowledged, Record, ShownDisplay};
use crate::turn::turn;
use crate::{Http, Person, now};

/// The people, nodes and tokens of a run's clients.
pub struct Clients {
    /// The people, each with a session that every read node accepts.
    pub people: Vec<(Person, String)>,
    /// An agency's token.
    pub agency: String,
    /// Writers: region and URL, which changes with a restart.
    pub writers: Vec<(usize, RwLock<String>)>,
    /// Read nodes: region and URL, which changes with a restart.
    pub readers: Vec<(usize, RwLock<String>)>,
    /// Names of the regions, as in an answer's `as_of` for other regions.
    pub regions: Vec<String>,
    /// The time of the next event, in milliseconds: no two events have the same.
    pub clock: AtomicI64,
    /// Senders stop when this is set, and then readers.
    pub stop: AtomicBool,
}

/// How many clients, and how much each sends.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Laboratories; each sends to one writer.
    pub senders: usize,
    /// Events that a laboratory sends about each person, in all.
    pub events_each: usize,
    /// Events of one request.
    pub batch: usize,
    /// Readers, each with a phone for every person, all in one region.
    pub readers: usize,
    /// From an answer to a laboratory's next request; a phone waits a twentieth of it.
    pub pause: Duration,
}

impl Clients {
    /// Clients for these people and nodes.
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

    /// Sends and reads until every event is sent or [`Self::stop`] is set, while `meanwhile` runs on the caller's
    /// thread.
    ///
    /// # Panics
    /// When a client gets an answer that no client should get.
    pub fn run(&self, workload: Workload, meanwhile: impl FnOnce()) -> Record {
        let _turn = turn();
        let mut record = Record::default();
        let sent = AtomicBool::new(false);
        thread::scope(|scope| {
            let senders: Vec<_> = (0..workload.senders).map(|n| scope.spawn(move || self.send(n, workload))).collect();
            let sent = &sent;
            let readers: Vec<_> =
                (0..workload.readers).map(|n| scope.spawn(move || self.read(n, sent, workload.pause / 20))).collect();
            let stop_on_panic = StopOnPanic([&self.stop, sent]);
            meanwhile();
            drop(stop_on_panic);
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

    /// Reads the display of every subject on every node until each answer's `as_of` is later than `since`.
    ///
    /// # Panics
    /// When that takes longer than `within`.
    pub fn poll_every_node(&self, since: Time, within: Duration) -> Record {
        let mut record = Record::default();
        let start = now();
        let http = Http::default();
        for (node, (region, _)) in self.readers.iter().enumerate() {
            for subject in 0..self.people.len() {
                let mut phone = Phone { session: usize::MAX - node, ..Phone::default() };
                loop {
                    let shown = self.display(&http, &mut phone, node, *region, subject, &mut record);
                    if shown.is_some_and(|shown| shown.as_of > since) {
                        break;
                    }
                    let waited = now().since(start);
                    assert!(
                        waited < within,
                        "node {node} has no display of subject {subject} as of {since} after {waited:?}"
                    );
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        record
    }

    fn send(&self, n: usize, workload: Workload) -> Record {
        let (region, url) = &self.writers[n % self.writers.len()];
        let http = Http::default();
        let mut record = Record::default();
        for _ in 0..workload.events_each {
            // Each sender starts at another subject, so that senders reach the same subject at different times.
            let subjects: Vec<usize> = (0..self.people.len()).map(|s| (s + n * 7) % self.people.len()).collect();
            for batch in subjects.chunks(workload.batch) {
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
                    thread::sleep(Duration::from_millis(50)); // refused or unreachable: a client waits
                }
                thread::sleep(workload.pause);
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

    /// Requests a display as a phone does, with the tag of the display it has; records the answer.
    fn display(
        &self,
        http: &Http,
        phone: &mut Phone,
        node: usize,
        region: usize,
        subject: usize,
        record: &mut Record,
    ) -> Option<ShownDisplay> {
        let bearer = format!("Bearer {}", self.people[subject].1);
        let mut headers = vec![("authorization", bearer.as_str())];
        if !phone.etag.is_empty() {
            headers.push(("if-none-match", &phone.etag));
        }
        let requested_at = now();
        let reply = http.get_with(&format!("{}/v1/display", self.readers[node].1.read()), &headers).ok()?;
        let answered_at = now();
        let events = match reply.status {
            200 => reply.json(200)["tests"].as_array().map(|tests| tests.iter().map(sampled_at).collect())?,
            304 => phone.events.clone(),
            429 | 503 => {
                record.refused += 1;
                return None;
            }
            other => panic!("unexpected status {other}: {}", String::from_utf8_lossy(&reply.body)),
        };
        let etag = reply.header("etag").to_owned();
        let as_of = reply.header("yima-as-of").parse().expect("an answer has an as_of");
        let other_as_of = self.regions_as_of(reply.header("yima-regions-as-of"));
        phone.etag = etag;
        phone.events.clone_from(&events);
        let shown = ShownDisplay {
            subject,
            region,
            node,
            session: phone.session,
            requested_at,
            answered_at,
            as_of,
            other_as_of,
            events,
        };
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

/// Stops the clients when the test's own thread panics: the scope waits for them.
struct StopOnPanic<'a>([&'a AtomicBool; 2]);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.iter().for_each(|stop| stop.store(true, Ordering::SeqCst));
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
    let at: Time = test["sampled_at"].as_str().unwrap_or_default().parse().expect("a time");
    at.as_millis()
}
