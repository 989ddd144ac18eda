//! Random interleavings of writes, polls, looks, evictions, failures and expiries, against an oracle of what was acknowledged when.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;

use super::store::{TestStore, advance, now, subject};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Write, publish, acknowledge.
    Write(u8),
    /// Set a view; its publication (and acknowledgement) comes with the next write of the subject.
    Set(u8),
    Look(u8),
    Poll,
    Evict(u8),
    Fail(bool),
    Expire,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8).prop_map(Step::Write),
        1 => (0..4u8).prop_map(Step::Set),
        8 => (0..4u8).prop_map(Step::Look),
        4 => Just(Step::Poll),
        1 => (0..4u8).prop_map(Step::Evict),
        1 => any::<bool>().prop_map(Step::Fail),
        1 => Just(Step::Expire),
        3 => prop_oneof![Just(1i64), Just(500), Just(3_000), Just(50_000_000)].prop_map(Step::Wait),
    ]
}

/// What has to hold of every answer.
#[derive(Default)]
struct Oracle {
    /// Versions by the moment of their acknowledgement.
    acknowledged: HashMap<u8, Vec<(Time, Version)>>,
    shown: HashMap<u8, Version>,
}

impl Oracle {
    fn check(&mut self, n: u8, answer: &Answer) -> Result<(), TestCaseError> {
        let version = answer.entry.held.version;
        let acknowledged = self.acknowledged.entry(n).or_default();
        let lacking = acknowledged.iter().find(|(at, v)| *at < answer.as_of && *v > version);
        prop_assert!(lacking.is_none(), "as of {:?} lacks {lacking:?}: {version:?}", answer.as_of);
        let shown = self.shown.entry(n).or_default();
        prop_assert!(version >= *shown, "went back from {shown:?} to {version:?}");
        *shown = version;
        let age = now().since(answer.as_of);
        prop_assert_eq!(answer.fresh, age <= Duration::from_secs(2));
        prop_assert!(age <= Duration::from_secs(86_400));
        Ok(())
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = TestStore::new();
    let (views, mut follower) = cache(&store).await;
    let mut oracle = Oracle::default();
    for step in steps {
        advance(1); // no two steps at one moment
        match step {
            Step::Write(n) => {
                let version = store.write(subject(n));
                oracle.acknowledged.entry(n).or_default().push((now(), version));
            }
            Step::Set(n) => {
                store.set(subject(n));
            }
            Step::Look(n) => {
                if let Ok(answer) = views.get(subject(n), Version::ABSENT).await {
                    oracle.check(n, &answer)?;
                }
            }
            // Whether it succeeds is the store's matter.
            Step::Poll => drop(follower.poll().await),
            Step::Evict(n) => {
                views.present.remove(&subject(n));
                views.absent.remove(&subject(n));
            }
            Step::Fail(failing) => store.failing.store(failing, Ordering::Relaxed),
            Step::Expire => store.expire(),
            Step::Wait(ms) => advance(ms),
        }
        while views.loads.under_way() > 0 {
            tokio::task::yield_now().await; // loads behind stale answers
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_answer_lacks_what_its_as_of_promises(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}
