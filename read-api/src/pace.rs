//! How often pages ask, and over what time a crowd is spread: many phones that would all be served in one second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use yima_service::levels::Level;

/// Shortest time between two polls, if none is set.
pub const REFRESH_AFTER_S: u32 = 30;
/// Largest factor by which a busy node stretches the pace.
const MAX_STRETCH: f32 = 30.0;
/// But for this, in seconds, no node stretches it to more.
const MAX_STRETCHED_S: u32 = 60;
/// So many changes a second are sent at once by any node, however few live displays it has.
const LEAST_AT_ONCE: u64 = 10;

/// The pace of the pages of one node.
pub(crate) struct Pace {
    /// Shortest time between two polls, in seconds; the longest is twice as long.
    refresh_after_s: u32,
    started_at: Instant,
    /// Changes for open live displays: the second since the start, and how many there were in it (its lower half).
    changes: AtomicU64,
}

impl Pace {
    pub fn new(refresh_after_s: u32) -> Self {
        Self { refresh_after_s, started_at: Instant::now(), changes: AtomicU64::new(0) }
    }

    /// `Yima-Refresh-After`: whole seconds until a page polls again, each time at random, so that pages which were
    /// opened together do not poll together.
    pub fn refresh_after(&self, utilization: f32, level: Level) -> u32 {
        jittered(stretched(self.refresh_after_s, utilization).max(least(level)), rand::random())
    }

    /// Over this time a crowd is spread: as long as the longest time between two polls. A phone that comes with a crowd
    /// learns of a change as late as one that polls does.
    pub fn spread(&self) -> Duration {
        Duration::from_secs(self.refresh_after_s.into()) * 2
    }

    /// For how long a change that was admitted now is held back from one of `open` live displays. The changes of a few
    /// people are sent at once. Those of a crowd, as after a change of the rules, beyond a quarter of the rate of all
    /// live displays one after another, are spread at random, and so are the requests that they cause.
    pub fn hold_back(&self, open: usize) -> Duration {
        let spread = self.spread();
        let at_once = (open as u64 / (4 * spread.as_secs())).max(LEAST_AT_ONCE);
        if self.count_change() <= at_once { Duration::ZERO } else { spread.mul_f32(rand::random()) }
    }

    /// Counts a change; returns how many there were in this second.
    fn count_change(&self) -> u64 {
        let second = self.started_at.elapsed().as_secs();
        let count = |changes: u64| if changes >> 32 == second { changes + 1 } else { (second << 32) | 1 };
        let before = self.changes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |changes| Some(count(changes)));
        count(before.expect("every number has a next one")) & u64::from(u32::MAX)
    }
}

/// Seconds between two polls at least that a level asks for.
fn least(level: Level) -> u32 {
    if level.leaves_out(Level::Vaccination) {
        120
    } else if level.leaves_out(Level::Pace) {
        60
    } else {
        0
    }
}

/// `seconds`, stretched from half utilization on in proportion to the wait for a busy server: 1 / (1 - utilization).
fn stretched(seconds: u32, utilization: f32) -> u32 {
    let stretch = (0.5 / (1.0 - utilization)).clamp(1.0, MAX_STRETCH);
    ((seconds as f32 * stretch).round() as u32).min(MAX_STRETCHED_S.max(seconds))
}

/// From `seconds` up to twice as many; `random` is a number from 0 to 1.
fn jittered(seconds: u32, random: f32) -> u32 {
    seconds + (seconds as f32 * random).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_poll_each_half_minute_to_minute_and_a_busy_node_asks_for_rarer_polls() {
        let range = |seconds, utilization, level| {
            let seconds = stretched(seconds, utilization).max(least(level));
            (jittered(seconds, 0.0), jittered(seconds, 0.999))
        };
        assert_eq!(range(30, 0.2, Level::Normal), (30, 60));
        assert_eq!(range(30, 0.7, Level::Normal), (50, 100));
        assert_eq!(range(30, 1.0, Level::Normal), (60, 120));
        assert_eq!(range(30, 0.2, Level::OwnCodes), (30, 60));
        assert_eq!(range(30, 0.2, Level::Pace), (60, 120));
        assert_eq!([Level::Vaccination, Level::Tests].map(|level| range(30, 0.9, level)), [(120, 240); 2]);
        // The demo's.
        assert_eq!(range(1, 0.2, Level::Normal), (1, 2));
        assert_eq!(range(1, 0.9, Level::Normal), (5, 10));
        assert_eq!(range(1, 1.0, Level::Normal), (30, 60));
        assert_eq!(range(1, 0.2, Level::Pace), (60, 120));
        // A pace that an operator has set is not shortened.
        assert_eq!(range(90, 1.0, Level::Normal), (90, 180));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_a_few_are_sent_at_once_and_a_crowd_is_spread() {
        let pace = Pace::new(30);
        for _ in 0..60 {
            // Each minute a quarter of the open ones.
            let held: Vec<_> = (0..40).map(|_| pace.hold_back(10_000)).collect();
            assert_eq!(held, [Duration::ZERO; 40]);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let mut seconds = [0; 60];
        for _ in 0..10_000 {
            seconds[pace.hold_back(10_000).as_secs() as usize] += 1;
        }
        let mean = 10_000 / 60;
        let most = seconds.into_iter().max().unwrap();
        assert!(most <= 2 * mean, "{seconds:?}");
        // The next second begins anew.
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pace.hold_back(10_000), Duration::ZERO);
    }
}
