//! How a run is set up, and how it ends: the displays of all subjects are read until they must have every acknowledged
//! event.

use std::collections::HashMap;
use std::time::Duration;

use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::DAY;

use super::{Acknowledged, Clients, Record, ShownDisplay, show_everything};
use crate::{Options, Person, Yima, new_person, now};

/// After one node has shown an event, the others show it within this time: here a writer counts as dead 2 s after its
/// last heartbeat, then its marks are followed.
pub const BOUND: Duration = Duration::from_secs(10);

/// Options that all regions of one system share: a display shows every test, and timeouts are short.
///
/// # Panics
/// Without a temporary directory.
pub fn options() -> Options {
    let options = Options::default();
    let rules = show_everything(options.directory());
    options
        .env("YIMA_RULES__FILE", rules.display())
        .env("YIMA_STORE__CQL__DEAD_AFTER_MS", 2_000)
        .env("YIMA_STORE__CQL__BEAT_EVERY_MS", 200)
        .env("YIMA_READ_API__CACHE__POLL_MS", 50)
}

/// [`options`] for a run in which no writer dies: a database that is slow for some seconds, as one on a busy disk is,
/// costs no acknowledgement, and no writer its stream.
///
/// # Panics
/// Without a temporary directory.
pub fn patient_options() -> Options {
    options().env("YIMA_STORE__CQL__DEAD_AFTER_MS", 60_000).env("YIMA_STORE__CQL__REQUEST_TIMEOUT_MS", 10_000)
}

/// People without any stored event, each with a session as the node would have issued it.
///
/// # Panics
/// When the node's keys are missing.
pub fn people(reader: &Yima, count: usize) -> Vec<(Person, String)> {
    let pseudonyms = PseudonymKey::from_bytes(&reader.options().key("pseudonym.key"));
    let seal = SealKeys::new(&[reader.options().key("seal.key")], "session");
    let with_session = |person: Person| {
        let document =
            Document::new(DocumentType::CnResidentId, &person.document).expect("people of tests have valid documents");
        let holder = Holder::Citizen { subject: pseudonyms.subject(&document) };
        let (started_at, expires_at) = (now(), now().plus(DAY));
        let session = Session { id: rand::random(), started_at, expires_at, holder };
        (person, session.seal(&seal))
    };
    (0..count).map(|_| with_session(new_person())).collect()
}

/// Reads the displays of all subjects on every node until they must have every event that their region acknowledged,
/// then checks the promises.
///
/// # Panics
/// With every violation, or when a node does not get there in time.
pub fn quiesce(clients: &Clients, mut record: Record) -> Record {
    let last_acknowledged = record.acknowledged.iter().map(|a| a.at).max().unwrap_or_else(now);
    let seen = clients.poll_every_node(
        last_acknowledged,
        Duration::from_secs(30).max(Duration::from_millis(5) * clients.people.len() as u32),
    );
    let mut acknowledged: HashMap<usize, Vec<&Acknowledged>> = HashMap::new();
    for event in &record.acknowledged {
        acknowledged.entry(event.subject).or_default().push(event);
    }
    for shown in &seen.shown {
        let of_subject = acknowledged.get(&shown.subject).into_iter().flatten();
        let region = clients.readers[shown.node].0;
        // A node shows all events of its own region; of other regions those before the `as_of` that it states.
        for event in of_subject.filter(|a| a.region == region && shown.as_of > last_acknowledged) {
            assert!(shown.events.contains(&event.event), "{event:?} is not in {shown:?}");
        }
    }
    record.add(seen);
    record.check(BOUND);
    record
}

/// Waits until every node states an `as_of` later than now for every region, then checks that all nodes show the same
/// events, and every acknowledged one.
///
/// # Panics
/// When displays differ or lack an event, or a node does not get there in time.
pub fn converge(clients: &Clients, record: &mut Record, within: Duration) {
    let since = now();
    let acknowledged: Vec<_> = record.acknowledged.clone();
    let start = now();
    loop {
        let seen = clients.poll_every_node(since, within);
        let is_current = |shown: &ShownDisplay| {
            let others = clients.readers.iter().map(|(region, _)| *region).filter(|region| *region != shown.region);
            others.into_iter().all(|region| shown.other_as_of.iter().any(|(r, as_of)| *r == region && *as_of > since))
        };
        let newest_first: Vec<_> = seen.shown.iter().rev().collect();
        let newest =
            |node: usize, subject: usize| newest_first.iter().find(|s| s.node == node && s.subject == subject).copied();
        let all: Vec<_> = (0..clients.readers.len())
            .flat_map(|node| (0..clients.people.len()).filter_map(move |s| newest(node, s)).collect::<Vec<_>>())
            .collect();
        let done =
            all.len() == clients.readers.len() * clients.people.len() && all.iter().all(|shown| is_current(shown));
        if done {
            for shown in &all {
                for event in acknowledged.iter().filter(|a| a.subject == shown.subject) {
                    assert!(shown.events.contains(&event.event), "{event:?} is not in {shown:?}");
                }
                let other = newest(0, shown.subject).expect("every node was asked for every subject");
                assert_eq!(shown.events, other.events, "nodes {} and 0 show different sets", shown.node);
            }
            record.add(seen);
            return;
        }
        let waited = now().since(start);
        assert!(waited < within, "after {waited:?} some region has not followed the others to {since}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
