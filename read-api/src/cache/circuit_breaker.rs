//! The circuit breaker: a store that fails or is slow is left alone for a while, so that nobody waits for it in vain and it gets room to
//! recover. Pattern after M. Nygard, "Release It!", with a window of time.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Seconds over which calls are counted.
const WINDOW: usize = 10;
/// Fewer calls within the window tell nothing.
const ENOUGH: u32 = 20;
/// How long the store is left alone.
const OPEN: Duration = Duration::from_secs(2);
/// Calls that try it afterwards. All of them have to be good.
const PROBES: u32 = 3;

/// See the module.
pub struct Breaker {
    state: Mutex<State>,
    /// What the window counts its seconds from.
    start: Instant,
}

enum State {
    Closed(Window),
    Open {
        since: Instant,
    },
    /// So many probes may still begin; so many were good.
    HalfOpen {
        left: u32,
        good: u32,
    },
}

/// What a breaker does with calls, for a gauge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerState {
    /// Lets them pass.
    Closed,
    /// Lets a few pass to see how the store is.
    HalfOpen,
    /// Refuses them.
    Open,
}

/// One call that was let pass. Dropped without an outcome it was cut short: bad if it was slow by then, or a probe.
pub struct Pass<'a> {
    breaker: &'a Breaker,
    began: Instant,
    slow: Duration,
}

impl Default for Breaker {
    /// Closed.
    fn default() -> Self {
        Self { state: Mutex::new(State::Closed(Window::default())), start: Instant::now() }
    }
}

impl Breaker {
    /// Whether a call may be made at `now`. If it takes longer than `slow` it counts as bad.
    pub fn pass(&self, now: Instant, slow: Duration) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        if let State::Open { since } = *state
            && now.duration_since(since) >= OPEN
        {
            *state = State::HalfOpen { left: PROBES, good: 0 };
        }
        match &mut *state {
            State::Closed(_) => {}
            State::HalfOpen { left, .. } if *left > 0 => *left -= 1,
            State::Open { .. } | State::HalfOpen { .. } => return None,
        }
        Some(Pass { breaker: self, began: now, slow })
    }

    /// What it does now.
    pub fn state(&self) -> BreakerState {
        match *self.state.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    fn done(&self, good: bool, now: Instant) {
        let second = now.duration_since(self.start).as_secs();
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(window) => {
                window.count(second, good);
                if window.is_bad(second) {
                    tracing::warn!("the store fails or is slow: it is left alone for a while");
                    *state = State::Open { since: now };
                }
            }
            State::HalfOpen { good: so_far, .. } if good => {
                *so_far += 1;
                if *so_far >= PROBES {
                    tracing::info!("the store answers again");
                    *state = State::Closed(Window::default());
                }
            }
            State::HalfOpen { .. } => *state = State::Open { since: now },
            // Of a call that began before.
            State::Open { .. } => {}
        }
    }
}

impl Pass<'_> {
    /// The call has ended.
    pub fn done(self, good: bool, now: Instant) {
        self.breaker.done(good && now.duration_since(self.began) <= self.slow, now);
        std::mem::forget(self);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.began) >= self.slow || self.breaker.state() == BreakerState::HalfOpen {
            self.breaker.done(false, now);
        }
    }
}

/// Calls of the last seconds, by second.
#[derive(Default)]
struct Window([Second; WINDOW]);

#[derive(Clone, Copy, Default)]
struct Second {
    second: u64,
    calls: u32,
    bad: u32,
}

impl Window {
    fn count(&mut self, second: u64, good: bool) {
        let slot = &mut self.0[second as usize % WINDOW];
        if slot.second != second {
            *slot = Second { second, ..Second::default() };
        }
        slot.calls += 1;
        slot.bad += u32::from(!good);
    }

    /// Whether at least half of enough calls were bad.
    fn is_bad(&self, second: u64) -> bool {
        let recent = self.0.iter().filter(|slot| slot.second + WINDOW as u64 > second);
        let (calls, bad) = recent.fold((0, 0), |(calls, bad), slot| (calls + slot.calls, bad + slot.bad));
        calls >= ENOUGH && bad * 2 >= calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(500);

    struct Calls {
        breaker: Breaker,
        now: Instant,
    }

    impl Calls {
        fn new() -> Self {
            let breaker = Breaker::default();
            Self { now: breaker.start, breaker }
        }

        fn wait(&mut self, by: Duration) {
            self.now += by;
        }

        /// Makes calls that take no time, or none if they are refused.
        fn call(&self, good: bool, times: usize) -> usize {
            let passes = (0..times).filter_map(|_| self.breaker.pass(self.now, SLOW));
            passes.map(|pass| pass.done(good, self.now)).count()
        }
    }

    #[test]
    fn half_of_enough_calls_open_it() {
        let calls = Calls::new();
        assert_eq!(calls.call(false, 9), 9);
        assert_eq!(calls.call(true, 10), 10);
        assert_eq!(calls.breaker.state(), BreakerState::Closed, "19 calls tell nothing");
        assert_eq!(calls.call(true, 10), 10);
        assert_eq!(calls.call(false, 9), 9);
        assert_eq!(calls.breaker.state(), BreakerState::Closed, "18 of 38");
        assert_eq!(calls.call(false, 5), 2);
        assert_eq!(calls.breaker.state(), BreakerState::Open, "20 of 40");
    }

    #[test]
    fn what_was_bad_long_ago_does_not_count() {
        let mut calls = Calls::new();
        calls.call(false, 19);
        calls.wait(Duration::from_secs(10));
        calls.call(false, 1);
        assert_eq!(calls.breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn slow_calls_are_bad() {
        let calls = Calls::new();
        for n in 0..20 {
            let pass = calls.breaker.pass(calls.now, SLOW).expect("closed");
            pass.done(true, calls.now + if n % 2 == 0 { SLOW * 2 } else { SLOW });
        }
        assert_eq!(calls.breaker.state(), BreakerState::Open);
    }

    #[test]
    fn what_is_cut_short_tells_nothing_unless_it_is_a_probe() {
        let mut calls = Calls::new();
        (0..20).for_each(|_| drop(calls.breaker.pass(Instant::now(), SLOW)));
        assert_eq!(calls.breaker.state(), BreakerState::Closed);
        calls.call(false, 20);
        calls.wait(OPEN);
        drop(calls.breaker.pass(calls.now, SLOW));
        assert_eq!(calls.breaker.state(), BreakerState::Open);
    }

    #[test]
    fn good_probes_close_it_and_a_bad_one_opens_it_again() {
        let mut calls = Calls::new();
        calls.call(false, 20);
        assert_eq!(calls.call(true, 5), 0);
        calls.wait(OPEN);
        assert_eq!(calls.call(false, 5), 1);
        assert_eq!((calls.breaker.state(), calls.call(true, 5)), (BreakerState::Open, 0));
        calls.wait(OPEN);
        let probes: Vec<_> = (0..5).filter_map(|_| calls.breaker.pass(calls.now, SLOW)).collect();
        assert_eq!((probes.len(), calls.breaker.state()), (PROBES as usize, BreakerState::HalfOpen));
        probes.into_iter().for_each(|probe| probe.done(true, calls.now));
        assert_eq!((calls.breaker.state(), calls.call(true, 5)), (BreakerState::Closed, 5));
    }
}
