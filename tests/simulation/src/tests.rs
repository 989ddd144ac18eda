//! The models conform, runs repeat, a hundred seeds hold, and bugs that were found stay found.

mod clock_ahead;
mod conformance;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;

use crate::{Engine, Setting, run};

const SHORT: Setting = Setting { engine: None, seconds: 20, look_every_ms: 10, database_clocks: true };

#[test]
fn a_seed_repeats_its_run() {
    for engine in [Engine::Embedded, Engine::Cql] {
        for seed in 0..4 {
            let setting = Setting { engine: Some(engine), ..SHORT };
            let [first, second] = [(); 2].map(|()| run(seed, setting));
            assert_eq!(first.trace, second.trace, "{engine:?} {seed}");
            assert_eq!((first.pairs, first.faults), (second.pairs, second.faults));
        }
    }
}

#[test]
fn a_hundred_seeds_keep_every_promise() {
    const SEEDS: u64 = 100;
    let (next, pairs, broken) = (AtomicU64::new(1), AtomicU64::new(0), parking_lot::Mutex::new(Vec::new()));
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let seed @ ..=SEEDS = next.fetch_add(1, Ordering::Relaxed) {
                    let report = run(seed, SHORT);
                    pairs.fetch_add(report.pairs, Ordering::Relaxed);
                    broken.lock().extend(report.violation.map(|violation| (seed, violation)));
                }
            });
        }
    });
    assert!(broken.lock().is_empty(), "{:#?}", broken.lock());
    assert!(pairs.load(Ordering::Relaxed) > 1_000_000, "{pairs:?} pairs");
}
