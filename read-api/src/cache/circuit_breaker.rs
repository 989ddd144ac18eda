//! The circuit breaker: calls of a store that fails or is slow are refused for a while, so that no request waits for it
//! in vain and the store can recover. Pattern after M. Nygard, "Release It!", with a sliding window of time (decision
//! 0018).

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Length of the sliding window, in seconds.
const WINDOW_S: usize = 10;
/// With fewer calls than this in the window the breaker stays closed.
const MIN_CALLS: u32 = 20;
/// How long the breaker stays open.
const OPEN_FOR: Duration = Duration::from_secs(2);
/// Probes that are let through half-open. All of them have to succeed.
const PROBES: u32 = 3;

/// Lets calls through or refuses them, by the outcomes of the calls before.
pub(super) struct CircuitBreaker {
    state: Mutex<State>,
    /// Start of second 0 of the window.
    start: Instant,
}

enum State {
    Closed(Window),
    Open { since: Instant },
    HalfOpen { probes_left: u32, successes: u32 },
}

/// The state of a circuit breaker, for a gauge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BreakerState {
    /// Lets calls through.
    Closed,
    /// Lets a few probes through.
    HalfOpen,
    /// Refuses calls.
    Open,
}

/// Permission for one call. Dropped without a record, the call was cancelled: a failure if it was slow by then, or a
/// probe.
pub(super) struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    began: Instant,
    slow_after: Duration,
}

impl Default for CircuitBreaker {
    /// Closed.
    fn default() -> Self {
        Self { state: Mutex::new(State::Closed(Window::default())), start: Instant::now() }
    }
}

impl CircuitBreaker {
    /// Permission for a call that begins at `now`; `None` refuses it. A call that takes longer than `slow_after` is a
    /// failure.
    pub fn try_acquire(&self, now: Instant, slow_after: Duration) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        if let State::Open { since } = *state
            && now.duration_since(since) >= OPEN_FOR
        {
            *state = State::HalfOpen { probes_left: PROBES, successes: 0 };
        }
        match &mut *state {
            State::Closed(_) => {}
            State::HalfOpen { probes_left, .. } if *probes_left > 0 => *probes_left -= 1,
            State::Open { .. } | State::HalfOpen { .. } => return None,
        }
        Some(Permit { breaker: self, began: now, slow_after })
    }

    /// Whether a call that begins at `now` would be refused.
    pub fn refuses(&self, now: Instant) -> bool {
        match &*self.state.lock() {
            State::Closed(_) => false,
            State::HalfOpen { probes_left, .. } => *probes_left == 0,
            State::Open { since } => now.duration_since(*since) < OPEN_FOR,
        }
    }

    /// The present state.
    pub fn state(&self) -> BreakerState {
        match *self.state.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    fn record(&self, success: bool, now: Instant) {
        let second = now.duration_since(self.start).as_secs();
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(window) => {
                window.record(second, success);
                if window.is_failing(second) {
                    tracing::warn!("circuit breaker open: the store fails or is slow, loads are refused");
                    *state = State::Open { since: now };
                }
            }
            State::HalfOpen { successes, .. } if success => {
                *successes += 1;
                if *successes >= PROBES {
                    tracing::info!("circuit breaker closed: the store answers again");
                    *state = State::Closed(Window::default());
                }
            }
            State::HalfOpen { .. } => *state = State::Open { since: now },
            // The end of a call that began before the breaker opened.
            State::Open { .. } => {}
        }
    }
}

impl Permit<'_> {
    /// Records the outcome of the call, which ended at `now`.
    pub fn record(self, success: bool, now: Instant) {
        self.breaker.record(success && now.duration_since(self.began) <= self.slow_after, now);
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.began) >= self.slow_after || self.breaker.state() == BreakerState::HalfOpen {
            self.breaker.record(false, now);
        }
    }
}

/// Outcomes of the calls of the last seconds, by second.
#[derive(Default)]
struct Window([Second; WINDOW_S]);

#[derive(Clone, Copy, Default)]
struct Second {
    second: u64,
    calls: u32,
    failures: u32,
}

impl Window {
    fn record(&mut self, second: u64, success: bool) {
        let slot = &mut self.0[second as usize % WINDOW_S];
        if slot.second != second {
            *slot = Second { second, ..Second::default() };
        }
        slot.calls += 1;
        slot.failures += u32::from(!success);
    }

    /// Whether at least half of the calls in the window failed, and there were enough of them.
    fn is_failing(&self, second: u64) -> bool {
        let recent = self.0.iter().filter(|slot| slot.second + WINDOW_S as u64 > second);
        let (calls, failures) = recent.fold((0, 0), |(calls, bad), slot| (calls + slot.calls, bad + slot.failures));
        calls >= MIN_CALLS && failures * 2 >= calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(500);

    struct Calls {
        breaker: CircuitBreaker,
        now: Instant,
    }

    impl Calls {
        fn new() -> Self {
            let breaker = CircuitBreaker::default();
            Self { now: breaker.start, breaker }
        }

        fn advance(&mut self, by: Duration) {
            self.now += by;
        }

        /// Makes calls that take no time; returns how many of them were let through.
        fn call(&self, success: bool, times: usize) -> usize {
            let permits = (0..times).filter_map(|_| self.breaker.try_acquire(self.now, SLOW));
            permits.map(|permit| permit.record(success, self.now)).count()
        }
    }

    #[test]
    fn half_of_enough_calls_failing_opens_it() {
        let calls = Calls::new();
        assert_eq!(calls.call(false, 9), 9);
        assert_eq!(calls.call(true, 10), 10);
        assert_eq!(calls.breaker.state(), BreakerState::Closed, "19 calls are too few");
        assert_eq!(calls.call(true, 10), 10);
        assert_eq!(calls.call(false, 9), 9);
        assert_eq!(calls.breaker.state(), BreakerState::Closed, "18 of 38");
        assert_eq!(calls.call(false, 5), 2);
        assert_eq!(calls.breaker.state(), BreakerState::Open, "20 of 40");
    }

    #[test]
    fn failures_before_the_window_do_not_count() {
        let mut calls = Calls::new();
        calls.call(false, 19);
        calls.advance(Duration::from_secs(10));
        calls.call(false, 1);
        assert_eq!(calls.breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn slow_calls_are_failures() {
        let calls = Calls::new();
        for n in 0..20 {
            let permit = calls.breaker.try_acquire(calls.now, SLOW).expect("closed");
            permit.record(true, calls.now + if n % 2 == 0 { SLOW * 2 } else { SLOW });
        }
        assert_eq!(calls.breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_cancelled_call_counts_only_if_it_is_a_probe() {
        let mut calls = Calls::new();
        (0..20).for_each(|_| drop(calls.breaker.try_acquire(Instant::now(), SLOW)));
        assert_eq!(calls.breaker.state(), BreakerState::Closed);
        calls.call(false, 20);
        calls.advance(OPEN_FOR);
        drop(calls.breaker.try_acquire(calls.now, SLOW));
        assert_eq!(calls.breaker.state(), BreakerState::Open);
    }

    #[test]
    fn successful_probes_close_it_and_a_failed_one_opens_it_again() {
        let mut calls = Calls::new();
        calls.call(false, 20);
        assert_eq!(calls.call(true, 5), 0);
        calls.advance(OPEN_FOR);
        assert_eq!(calls.call(false, 5), 1);
        assert_eq!((calls.breaker.state(), calls.call(true, 5)), (BreakerState::Open, 0));
        calls.advance(OPEN_FOR);
        let probes: Vec<_> = (0..5).filter_map(|_| calls.breaker.try_acquire(calls.now, SLOW)).collect();
        assert_eq!((probes.len(), calls.breaker.state()), (PROBES as usize, BreakerState::HalfOpen));
        probes.into_iter().for_each(|probe| probe.record(true, calls.now));
        assert_eq!((calls.breaker.state(), calls.call(true, 5)), (BreakerState::Closed, 5));
    }
}
