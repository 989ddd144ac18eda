//! Leases: each stream of another region is followed by one of this region's writers.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use scylla::client::session::Session;
use serde_json::Value;
use yima_harness::checker::{Acknowledged, options};
use yima_harness::{Person, Region, RegionStore, Yima, assert_same_folds, new_person, now, until};
use yima_schema::time::{DAY, Time};

use crate::cql::cluster;

const LEASE: Duration = Duration::from_secs(4);
/// Time after the lease's end for a writer to notice and take it over, on a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(3);
/// Time for events to be folded in the other region.
const FOLLOWED: Duration = Duration::from_secs(30);

/// Two writers of chengdu, whose streams xian follows, and the events sent to them.
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
    /// Sends an event of every person to each of the two writers.
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

    /// Waits until xian has folded all acknowledged events.
    fn wait_until_followed(&self) {
        let all = self.acknowledged.len();
        let folded = || -> usize {
            self.xian.read(self.people.iter().map(|(person, _)| person)).iter().map(|of| of.folded).sum()
        };
        until(&format!("{all} events folded"), FOLLOWED, || folded() >= all);
        assert_same_folds(&[&self.xian, &self.chengdu], &self.people, &self.acknowledged);
    }

    /// The owner of the lease on each of chengdu's streams that has one.
    fn owners(&self) -> BTreeMap<String, Vec<u8>> {
        let found =
            self.xian.runtime.block_on(self.session.query_unpaged("SELECT name, owner FROM leases_xian.leases", ()));
        let rows = found.unwrap().into_rows_result().unwrap();
        let rows = rows.rows::<(String, Option<Vec<u8>>)>().unwrap().map(Result::unwrap);
        rows.filter(|(name, _)| name.starts_with("marks/chengdu/"))
            .filter_map(|(name, owner)| Some((name, owner?)))
            .collect()
    }

    /// Waits until both leases have the same owner, and another one than `before`; returns it.
    fn wait_for_owner(&self, before: Option<&[u8]>) -> Vec<u8> {
        let started = Instant::now();
        loop {
            let owners: Vec<Vec<u8>> = self.owners().into_values().collect();
            if let [one, other] = &owners[..]
                && one == other
                && Some(&one[..]) != before
            {
                return one.clone();
            }
            // Unlike the harness' `until`, the failure shows the owners.
            let waited = started.elapsed();
            assert!(
                waited < LEASE + TAKEN_OVER,
                "after {waited:?} the leases are owned by {owners:?}, before by {before:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Number of chengdu's marks that a writer has settled.
fn marks_settled(writer: &Yima) -> usize {
    writer.metric("marks_total", &["region=\"chengdu\""]) as usize
}

/// The owner of both leases is killed, and the next one paused until it has lost them. Each time another writer
/// follows within the lease.
#[test]
fn a_stream_is_followed_by_one_writer_and_by_another_after_its_loss() {
    let cluster = cluster();
    let base = options().env("YIMA_STORE__CQL__LEASE_MS", LEASE.as_millis());
    let xian = Region::new(&cluster, 1, "xian", "leases", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "leases", base);
    let sources = [chengdu.writer(&[]), chengdu.writer(&[])];
    let mut first = xian.writer(&[]);
    let (xian_stored, chengdu_stored) = (RegionStore::open(&xian), RegionStore::open(&chengdu));
    let mut test = Test {
        session: xian_stored.runtime.block_on(cluster.session(1)),
        lab: sources[0].agency_token("lab-7"),
        people: (0..20).map(|_| (new_person(), String::new())).collect(),
        acknowledged: Vec::new(),
        xian: xian_stored,
        chengdu: chengdu_stored,
        sources,
    };
    let first_owner = test.wait_for_owner(None);
    let second = xian.writer(&[]);
    test.send();
    test.wait_until_followed();
    // For longer than a lease: the owner renews it.
    let started = Instant::now();
    while started.elapsed() < LEASE {
        test.send();
        test.wait_until_followed();
        assert!(test.owners().values().all(|owner| *owner == first_owner), "a lease was lost");
    }
    assert_eq!(
        (marks_settled(&first), marks_settled(&second)),
        (test.acknowledged.len(), 0),
        "two writers follow a stream"
    );

    test.send();
    first.kill9();
    test.send();
    let second_owner = test.wait_for_owner(Some(&first_owner));
    test.send();
    test.wait_until_followed();
    assert!(marks_settled(&second) > 0);

    // Resumed, the paused writer does not know that it has lost the leases, and repeats folds of the new owner.
    let third = xian.writer(&[]);
    test.send();
    second.pause();
    test.send();
    test.wait_for_owner(Some(&second_owner));
    second.resume();
    test.send();
    test.wait_until_followed();
    assert!(marks_settled(&third) > 0);
}
