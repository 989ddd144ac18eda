//! The clock monitor on CQL: compares this machine's clock with the database's, once a second. By a wrong clock a
//! writer finds every token not yet valid or expired: it answers 401 to all agencies, so it must not be ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use yima_schema::time::Time;
use yima_service::clock::now;
use yima_service::lifecycle::Lifecycle;
use yima_store::cql::CqlStore;

use crate::config::Role;

const EVERY: Duration = Duration::from_secs(1);
/// Comparisons whose median counts, each with the next node of the database: a single node may be wrong itself.
const COMPARED: usize = 9;
/// Beyond this the clock is wrong. Half of the leeway with which tokens are judged.
const BOUND_MS: u64 = 30_000;

/// Monitors the clock until the soft stop. A writer apart with a wrong clock is not ready; a process that serves reads
/// goes on, and says that it is degraded.
pub(super) fn monitor(store: Arc<CqlStore>, role: Role, lifecycle: &Lifecycle) {
    let readiness = lifecycle.readiness().clone();
    lifecycle.spawn_until_stop("clock monitor", async move {
        let (mut offsets, mut was_wrong) = (Offsets::default(), false);
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let began = now();
            // Without the database there is nothing to compare with: the last state stands.
            let Ok(store_clock) = store.clock().await else { continue };
            let median_ms = offsets.add(began, store_clock, now());
            let is_wrong = median_ms.is_some_and(|offset_ms| offset_ms.unsigned_abs() > BOUND_MS);
            if is_wrong != was_wrong {
                let seconds = median_ms.unwrap_or_default() as f64 / 1000.0;
                if is_wrong {
                    tracing::error!(seconds, "the clock differs from the database's; a writer apart is not ready");
                } else {
                    tracing::info!(seconds, "the clock agrees with the database's again");
                }
                was_wrong = is_wrong;
            }
            match role {
                Role::Writer => readiness.suspend("clock", is_wrong),
                Role::Everything | Role::ReadApi => readiness.degrade("clock", is_wrong),
            }
        }
    });
}

/// The last comparisons: by how many milliseconds our clock was ahead.
#[derive(Default)]
struct Offsets(VecDeque<i64>);

impl Offsets {
    /// Adds a comparison, with our clock before and after the store's was read, and returns the median; `None` before
    /// there are enough. An offset that the time of the answer may explain is none.
    fn add(&mut self, began: Time, store: Time, answered: Time) -> Option<i64> {
        let ahead = began.since(store).as_millis();
        let behind = store.since(answered).as_millis();
        let offset_ms = i64::try_from(ahead).unwrap_or(i64::MAX) - i64::try_from(behind).unwrap_or(i64::MAX);
        self.0.push_back(offset_ms);
        if self.0.len() > COMPARED {
            self.0.pop_front();
        }
        let mut sorted: Vec<i64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        (sorted.len() > COMPARED / 2).then(|| sorted[sorted.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The median after comparisons in which the store's clock was that many seconds ahead of ours.
    fn median_s(store_ahead_s: &[i64]) -> Option<i64> {
        let (mut offsets, ours) = (Offsets::default(), Time::from_secs(1_790_000_000));
        let mut add = |ahead: &i64| {
            let store = Time::from_secs(1_790_000_000 + ahead);
            offsets.add(ours, store, ours.plus(Duration::from_millis(900)))
        };
        store_ahead_s.iter().map(&mut add).last().flatten().map(|offset_ms| offset_ms / 1000)
    }

    #[test]
    fn a_clock_is_judged_by_most_of_the_databases_nodes() {
        assert_eq!(median_s(&[600; 4]), None, "too few to judge");
        assert_eq!(median_s(&[600; 5]), Some(-599));
        assert_eq!(median_s(&[-600; 9]), Some(600));
        // One of three nodes is wrong itself.
        assert_eq!(median_s(&[600, 0, 0, 600, 0, 0, 600, 0, 0]), Some(0));
        // Our clock was set right.
        assert_eq!(median_s(&[600, 600, 600, 600, 0, 0, 0, 0, 0]), Some(0));
        assert_eq!(median_s(&[0, 0, 0, 0, 0, 0, 0, 0, 0, -600]), Some(0));
    }
}
