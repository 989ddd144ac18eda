//! Services are killed, or paused for longer than `dead_after`, one after the other at random moments.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use yima_harness::checker::{Acknowledged, BOUND, Workload, converge, options, quiesce};
use yima_harness::{Cluster, ClusterOptions, Person, Region, RegionStore, assert_same_folds};

use crate::services::Services;

/// Kills before the promises are checked.
const BATCH: usize = 25;
/// People of a batch.
const PEOPLE: usize = 40;
/// For every region to follow the others to the end, on a busy machine.
const CONVERGED: Duration = Duration::from_secs(90);
/// `dead_after` of the options. A pause is this long and up to two seconds more.
const DEAD_AFTER: Duration = Duration::from_secs(2);

/// Kills `count` times. The same seed chooses the same services, moments and ways.
pub(crate) fn run(count: usize, seed: u64) {
    report!("tests/soak kills {count} {seed}");
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().nodes([1, 1])));
    let base = options();
    let xian = Region::new(&cluster, 1, "xian", "soak", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "soak", base);
    let mut services = Services::start(&[(&xian, 2, 2), (&chengdu, 2, 1)]);
    let stored = [&xian, &chengdu].map(RegionStore::open);
    let (mut random, start) = (StdRng::seed_from_u64(seed), Instant::now());
    let mut all = Run::default();
    while all.killed + all.paused < count {
        let rounds = BATCH.min(count - all.killed - all.paused);
        all.batch(&mut services, rounds, &mut random, &stored);
        report!("{:.0} s: {}", start.elapsed().as_secs_f64(), all.figures());
    }
    assert_same_folds(&[&stored[0], &stored[1]], &all.people, &all.acknowledged);
    report!(
        "every view is the fold of all acknowledged events about {} people, and the same in both regions",
        all.people.len()
    );
}

/// The totals of all batches.
#[derive(Default)]
struct Run {
    killed: usize,
    paused: usize,
    answers: usize,
    refused: usize,
    unknown: usize,
    people: Vec<(Person, String)>,
    acknowledged: Vec<Acknowledged>,
}

impl Run {
    fn batch(&mut self, services: &mut Services, rounds: usize, random: &mut StdRng, stored: &[RegionStore; 2]) {
        let clients = services.clients(PEOPLE);
        let workload =
            Workload { senders: 4, events_each: 1_000, batch: 10, readers: 2, pause: Duration::from_millis(200) };
        let record = clients.run(workload, || {
            for _ in 0..rounds {
                let (n, millis) = (random.random_range(0..services.count()), random.random_range(0..2_000));
                thread::sleep(Duration::from_millis(millis)); // the random moment
                if random.random_ratio(1, 5) {
                    services.get(n).pause();
                    thread::sleep(DEAD_AFTER + Duration::from_millis(millis));
                    services.get(n).resume();
                    self.paused += 1;
                } else {
                    services.restart(n, &clients);
                    self.killed += 1;
                }
            }
            clients.stop.store(true, Ordering::SeqCst);
        });
        let mut record = quiesce(&clients, record);
        converge(&clients, &mut record, CONVERGED);
        record.check(BOUND);
        self.answers += record.shown.len();
        self.refused += record.refused;
        self.unknown += record.unknown.len();
        assert_same_folds(&[&stored[0], &stored[1]], &clients.people, &record.acknowledged);
        let first = self.people.len();
        let renumbered =
            record.acknowledged.iter().map(|event| Acknowledged { subject: first + event.subject, ..*event });
        self.acknowledged.extend(renumbered);
        self.people.extend(clients.people);
    }

    fn figures(&self) -> String {
        format!(
            "{} killed, {} paused; {} events acknowledged, {} without an answer; {} answers checked, {} refused",
            self.killed,
            self.paused,
            self.acknowledged.len(),
            self.unknown,
            self.answers,
            self.refused
        )
    }
}
