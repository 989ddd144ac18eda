//! The in-flight limit: how many requests may wait for their answer at once. It adapts to how long ready work waits for
//! a worker, and each class of requests gets its share of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::levels::Class;

/// A longer queueing delay lowers the limit.
const TARGET: Duration = Duration::from_millis(20);
/// The limit never falls below this, unless the highest limit is lower.
const LEAST: usize = 16;

/// The in-flight limit of one port.
pub(super) struct InFlightLimit {
    /// Highest limit.
    most: usize,
    limit: AtomicUsize,
    waiting: AtomicUsize,
    /// Most that waited, or would have, since the last step.
    peak: AtomicUsize,
}

impl InFlightLimit {
    pub(super) fn new(most: usize) -> Self {
        Self { most, limit: AtomicUsize::new(most), waiting: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// The limit in force.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether one more request of the class may wait.
    pub(super) fn has_room_for(&self, class: Class) -> bool {
        self.is_within(class, self.waiting())
    }

    /// Counts a request among those that wait, in any case until [`Self::leave`]. `false`: its class has no room.
    pub(super) fn enter(&self, class: Class) -> bool {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        self.is_within(class, before)
    }

    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_within(&self, class: Class, waiting: usize) -> bool {
        waiting < class.share_of(self.limit())
    }

    /// Adapts the limit to the queueing delay. To be called every tenth of a second.
    pub(super) fn adapt(&self, queue_delay: Duration) {
        let peak = self.peak.swap(self.waiting(), Ordering::Relaxed);
        self.limit.store(next(self.limit(), self.most, peak, queue_delay), Ordering::Relaxed);
    }
}

/// The limit after one that `peak` requests came up to. While work queues it falls, from what was in use: by as much as
/// the delay is too long, at least a tenth, at most half. It rises by a quarter while at least half of it is in use, or a
/// limit that nobody reaches would mean nothing.
fn next(limit: usize, most: usize, peak: usize, queue_delay: Duration) -> usize {
    let least = LEAST.min(most);
    if queue_delay > TARGET {
        let in_use = limit.min(peak.max(least));
        let kept = TARGET.div_duration_f64(queue_delay).clamp(0.5, 0.9);
        ((in_use as f64 * kept) as usize).max(least)
    } else if peak >= limit / 2 {
        (limit + (limit / 4).max(1)).min(most)
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUEUED: Duration = Duration::from_millis(30);

    #[test]
    fn a_class_of_lower_rank_is_refused_before_one_of_higher_rank_waits() {
        let limit = InFlightLimit::new(8);
        let room = |limit: &InFlightLimit| Class::ALL.map(|class| limit.has_room_for(class));
        assert_eq!(room(&limit), [true; 8]);
        (0..4).for_each(|_| assert!(limit.enter(Class::History)));
        assert_eq!(room(&limit), [false, false, false, false, true, true, true, true]);
        assert!(!limit.enter(Class::LiveDisplay) && limit.enter(Class::Code) && limit.enter(Class::Display));
        assert_eq!(room(&limit), [false, false, false, false, false, false, false, true]);
        assert!(limit.enter(Class::Scan) && !limit.enter(Class::Scan));
        (0..9).for_each(|_| limit.leave());
        assert_eq!((room(&limit), limit.waiting()), ([true; 8], 0));
    }

    #[test]
    fn it_falls_while_work_queues_and_comes_back_when_it_is_used() {
        let limit = InFlightLimit::new(1_024);
        let come = |limit: &InFlightLimit, requests| (0..requests).filter(|_| limit.enter(Class::Scan)).count();
        assert_eq!(come(&limit, 100), 100);
        limit.adapt(QUEUED);
        assert_eq!(limit.limit(), 66, "from what is in use");
        (0..20).for_each(|_| limit.adapt(QUEUED));
        assert!(limit.limit() >= LEAST && limit.limit() < 30, "{}", limit.limit());
        (0..100).for_each(|_| limit.leave());
        (0..2).for_each(|_| limit.adapt(Duration::ZERO));
        let unused = limit.limit();
        limit.adapt(Duration::ZERO);
        assert_eq!(limit.limit(), unused, "nobody has used it");
        assert!(come(&limit, 1_024) < 1_024);
        (0..200).for_each(|_| limit.adapt(Duration::ZERO));
        assert_eq!(limit.limit(), 1_024);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_always_lets_a_scan_in(
            most in 1..2_000_usize,
            steps in prop::collection::vec((0..3_000_usize, 0..60_u64), 0..300),
        ) {
            let mut limit = most;
            for (peak, delay_ms) in steps {
                let delay = Duration::from_millis(delay_ms);
                let after = next(limit, most, peak, delay);
                prop_assert!((LEAST.min(most)..=most).contains(&after));
                let is_right_way = if delay > TARGET { after <= limit } else { after >= limit };
                prop_assert!(is_right_way);
                prop_assert!(Class::Scan.share_of(after) >= 1);
                limit = after;
            }
        }
    }
}
