//! Services apart, in two regions, under the checker.

use std::time::Duration;

use yima_schema::time::Time;
use yima_tests::checker::{Clients, Load, Record, show_everything};
use yima_tests::{Options, Person, Region, Yima, new_person, now};

use super::cluster;

/// What one node has shown, the others show after this: a writer that dies is taken for dead after 2 s here, then its marks are followed.
pub const BOUND: Duration = Duration::from_secs(10);

/// Options that all regions of one system share; a display shows every test.
pub fn options() -> Options {
    let options = Options::default();
    let rules = show_everything(options.directory());
    options
        .env("YIMA_RULES__FILE", rules.display())
        .env("YIMA_STORE__CQL__DEAD_AFTER_MS", 2_000)
        .env("YIMA_STORE__CQL__BEAT_EVERY_MS", 200)
        .env("YIMA_READ_API__CACHE__POLL_MS", 50)
}

/// People nobody knows yet, with their sessions.
pub fn people(reader: &Yima, count: usize) -> Vec<(Person, String)> {
    let people: Vec<Person> = (0..count).map(|_| new_person()).collect();
    people.into_iter().map(|person| (person.clone(), reader.session_of(&person))).collect()
}

/// Looks at everybody on every node until all that was acknowledged has to be there, and holds everything against the promises.
pub fn settle(clients: &Clients, mut record: Record) -> Record {
    let last = record.acknowledged.iter().map(|a| a.at).max().unwrap_or_else(now);
    let seen = clients.look(last, Duration::from_secs(30));
    for shown in &seen.shown {
        let of_subject = record.acknowledged.iter().filter(|a| a.subject == shown.subject);
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
pub fn converge(clients: &Clients, record: &mut Record, within: Duration) {
    let since = now();
    let acknowledged: Vec<_> = record.acknowledged.clone();
    let begun = now();
    loop {
        let seen = clients.look(since, within);
        let everywhere = |shown: &yima_tests::checker::Shown| {
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

/// Two writers and two read nodes of a region, eight laboratories about 200 people, about 50 events each; a second region that takes events
/// about the same people.
#[test]
fn two_regions_keep_every_promise() {
    let cluster = cluster();
    let base = options();
    let xian = Region::new(&cluster, 1, "xian", "two_regions", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "two_regions", base);
    let writers = [xian.writer(&[]), xian.writer(&[]), chengdu.writer(&[])];
    let readers = [xian.reader(&[]), xian.reader(&[]), chengdu.reader(&[])];
    let regions = [0, 0, 1];
    let clients = Clients::new(
        people(&readers[0], 200),
        writers[0].agency_token("lab-7"),
        writers.iter().zip(regions).map(|(writer, region)| (region, writer.writer_url())).collect(),
        readers.iter().zip(regions).map(|(reader, region)| (region, reader.read_url())).collect(),
        &["xian", "chengdu"],
    );
    let begun: Time = now();
    let record = clients.run(Load { senders: 9, events_each: 5, batch: 50, readers: 4 }, || ());
    assert_eq!(record.acknowledged.len(), 9 * 5 * 200, "some were not acknowledged");
    eprintln!(
        "{} events acknowledged and {} answers in {:?}",
        record.acknowledged.len(),
        record.shown.len(),
        now().since(begun)
    );
    let mut record = settle(&clients, record);
    converge(&clients, &mut record, Duration::from_secs(60));
    record.check(BOUND);
    let nodes: Vec<&Yima> = writers.iter().chain(&readers).collect();
    crate::dashboard::is_answered_by(&nodes);
}
