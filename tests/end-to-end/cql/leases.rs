//! Two writers of a region share the marks of another one's streams by leases.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use scylla::client::session::Session;
use serde_json::Value;
use yima_harness::checker::{Acknowledged, options};
use yima_harness::{Person, Region, RegionStore, Yima, assert_same_folds, new_person, now, until};
use yima_schema::time::{DAY, Time};

use super::cluster;

const LEASE: Duration = Duration::from_secs(4);
/// Beyond the lease's end, for a writer to look and the database to answer, on a busy machine.
const LOOKED: Duration = Duration::from_secs(3);
/// For what was sent to be followed.
const FOLLOWED: Duration = Duration::from_secs(30);

/// Two writers of chengdu, whose streams xian follows, and what has been sent to them.
struct Test {
    xian: RegionStore,
    chengdu: RegionStore,
    sources: [Yima; 2],
    lab: String,
    session: Session,
    people: Vec<(Person, String)>,
    acknowledged: Vec<Acknowledged>,
}

impl Test {
    /// Sends an event of everybody to each of the two.
    fn send(&mut self) {
        for source in &self.sources {
            let event = now().minus(DAY).as_millis() + self.acknowledged.len() as i64;
            let rows: Vec<Value> = self
                .people
                .iter()
                .map(|(person, _)| {
                    let data = serde_json::json!({ "test": "nucleic_acid", "result": "negative" });
                    person.event(&format!("t-{event}"), "test_result", &Time::from_millis(event).to_string(), data)
                })
                .collect();
            assert!(source.rows(&self.lab, &rows).iter().all(|row| row["status"] == "accepted"));
            let acknowledged = |subject| Acknowledged { subject, event, region: 1, at: now() };
            self.acknowledged.extend((0..rows.len()).map(acknowledged));
        }
    }

    /// Waits until xian has folded everything.
    fn followed(&self) {
        let wanted = self.acknowledged.len();
        let folded = || -> usize {
            self.xian.read(self.people.iter().map(|(person, _)| person)).iter().map(|of| of.folded).sum()
        };
        until(&format!("{wanted} events folded"), FOLLOWED, || folded() >= wanted);
        assert_same_folds(&[&self.xian, &self.chengdu], &self.people, &self.acknowledged);
    }

    /// Who has the lease on each of chengdu's streams, if anybody has.
    fn holders(&self) -> BTreeMap<String, Vec<u8>> {
        let found =
            self.xian.runtime.block_on(self.session.query_unpaged("SELECT name, owner FROM leases_xian.leases", ()));
        let rows = found.unwrap().into_rows_result().unwrap();
        let rows = rows.rows::<(String, Option<Vec<u8>>)>().unwrap().map(Result::unwrap);
        rows.filter(|(name, _)| name.starts_with("marks/chengdu/"))
            .filter_map(|(name, owner)| Some((name, owner?)))
            .collect()
    }

    /// The one who has both; waits until somebody else has than `before`.
    fn holder(&self, before: Option<&[u8]>) -> Vec<u8> {
        let begun = Instant::now();
        loop {
            let holders: Vec<Vec<u8>> = self.holders().into_values().collect();
            if let [one, other] = &holders[..]
                && one == other
                && Some(&one[..]) != before
            {
                return one.clone();
            }
            let waited = begun.elapsed();
            assert!(
                waited < LEASE + LOOKED,
                "after {waited:?} the streams are followed by {holders:?}, before by {before:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Marks of chengdu that a writer has folded.
fn folded(writer: &Yima) -> usize {
    writer.metric("marks_total", &["region=\"chengdu\""]) as usize
}

/// The one who holds both streams is killed, and the next one paused until it has lost them; each time the other one follows within the lease.
#[test]
fn a_stream_is_followed_by_one_writer_and_by_another_when_that_one_is_gone() {
    let cluster = cluster();
    let base = options().env("YIMA_STORE__CQL__LEASE_MS", LEASE.as_millis());
    let xian = Region::new(&cluster, 1, "xian", "leases", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "leases", base);
    let sources = [chengdu.writer(&[]), chengdu.writer(&[])];
    let mut first = xian.writer(&[]);
    let (stored, of_chengdu) = (RegionStore::open(&xian), RegionStore::open(&chengdu));
    let mut test = Test {
        session: stored.runtime.block_on(cluster.session(1)),
        lab: sources[0].agency_token("lab-7"),
        people: (0..20).map(|_| (new_person(), String::new())).collect(),
        acknowledged: Vec::new(),
        xian: stored,
        chengdu: of_chengdu,
        sources,
    };
    let held_by_first = test.holder(None);
    let second = xian.writer(&[]);
    test.send();
    test.followed();
    // Longer than a lease: renewed, not passed on.
    let begun = Instant::now();
    while begun.elapsed() < LEASE {
        test.send();
        test.followed();
        assert!(test.holders().values().all(|holder| *holder == held_by_first), "a lease was lost");
    }
    assert_eq!((folded(&first), folded(&second)), (test.acknowledged.len(), 0), "a stream is followed by one");

    test.send();
    first.kill9();
    test.send();
    let held_by_second = test.holder(Some(&held_by_first));
    test.send();
    test.followed();
    assert!(folded(&second) > 0);

    // Paused in the middle of it: when it goes on it does not know that it has lost the streams, and does what is being done already.
    let third = xian.writer(&[]);
    test.send();
    second.pause();
    test.send();
    test.holder(Some(&held_by_second));
    second.resume();
    test.send();
    test.followed();
    assert!(folded(&third) > 0);
}
