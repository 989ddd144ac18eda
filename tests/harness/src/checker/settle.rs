//! How a run is set up, and how it ends: everybody is looked at until all that was acknowledged has to be there.

use std::collections::HashMap;
use std::time::Duration;

use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::DAY;

use super::{Acknowledged, Clients, Record, Shown, show_everything};
use crate::{Options, Person, Yima, new_person, now};

/// What one node has shown, the others show after this: a writer that dies is taken for dead after 2 s here, then its marks are followed.
pub const BOUND: Duration = Duration::from_secs(10);

/// Options that all regions of one system share: a display shows every test, and nobody waits for long.
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

/// People nobody knows yet, with sessions as the node would have given them.
///
/// # Panics
/// Without the node's keys.
pub fn people(reader: &Yima, count: usize) -> Vec<(Person, String)> {
    let pseudonyms = PseudonymKey::from_bytes(&reader.options().key("pseudonym.key"));
    let seal = SealKeys::new(&[reader.options().key("seal.key")], "session");
    let with_session = |person: Person| {
        let document = Document::new(DocumentType::CnResidentId, &person.document).expect("a person's is valid");
        let holder = Holder::Citizen { subject: pseudonyms.subject(&document) };
        let session = Session { id: rand::random(), expires_at: now().plus(DAY), holder };
        (person, session.seal(&seal))
    };
    (0..count).map(|_| with_session(new_person())).collect()
}

/// Looks at everybody on every node until all that was acknowledged has to be there, and holds everything against the promises.
///
/// # Panics
/// With what does not hold, or when a node does not get there.
pub fn settle(clients: &Clients, mut record: Record) -> Record {
    let last = record.acknowledged.iter().map(|a| a.at).max().unwrap_or_else(now);
    let seen = clients.look(last, Duration::from_secs(30).max(Duration::from_millis(5) * clients.people.len() as u32));
    let mut acknowledged: HashMap<usize, Vec<&Acknowledged>> = HashMap::new();
    for event in &record.acknowledged {
        acknowledged.entry(event.subject).or_default().push(event);
    }
    for shown in &seen.shown {
        let of_subject = acknowledged.get(&shown.subject).into_iter().flatten();
        let theirs = clients.readers[shown.node].0;
        // A node shows all of its own region. Of others what it says it does.
        for event in of_subject.filter(|a| a.region == theirs && shown.as_of > last) {
            assert!(shown.events.contains(&event.event), "{event:?} is not in {shown:?}");
        }
    }
    record.add(seen);
    record.check(BOUND);
    record
}

/// Waits until every node says that it has everything of every region that was acknowledged by now, then holds all of them to show the same.
///
/// # Panics
/// With what does not hold, or when a node does not get there.
pub fn converge(clients: &Clients, record: &mut Record, within: Duration) {
    let since = now();
    let acknowledged: Vec<_> = record.acknowledged.clone();
    let begun = now();
    loop {
        let seen = clients.look(since, within);
        let everywhere = |shown: &Shown| {
            let others = clients.readers.iter().map(|(region, _)| *region).filter(|region| *region != shown.region);
            others.into_iter().all(|region| shown.other_as_of.iter().any(|(r, as_of)| *r == region && *as_of > since))
        };
        let last: Vec<_> = seen.shown.iter().rev().collect();
        let newest =
            |node: usize, subject: usize| last.iter().find(|s| s.node == node && s.subject == subject).copied();
        let all: Vec<_> = (0..clients.readers.len())
            .flat_map(|node| (0..clients.people.len()).filter_map(move |s| newest(node, s)).collect::<Vec<_>>())
            .collect();
        let done =
            all.len() == clients.readers.len() * clients.people.len() && all.iter().all(|shown| everywhere(shown));
        if done {
            for shown in &all {
                for event in acknowledged.iter().filter(|a| a.subject == shown.subject) {
                    assert!(shown.events.contains(&event.event), "{event:?} is not in {shown:?}");
                }
                let other = newest(0, shown.subject).expect("every node was asked about everybody");
                assert_eq!(shown.events, other.events, "nodes {} and 0 show different sets", shown.node);
            }
            record.add(seen);
            return;
        }
        let waited = now().since(begun);
        assert!(waited < within, "after {waited:?} not every region has followed the others to {since}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
