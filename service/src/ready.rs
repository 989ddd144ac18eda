//! Readiness: a latch held by each part that is not up yet. Liveness is separate: a process that answers is live.

use std::sync::Arc;

use parking_lot::Mutex;

/// Whether a balancer should send requests to this process. Clones share the latch.
#[derive(Clone, Default, Debug)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Default, Debug)]
struct State {
    waiting: Vec<&'static str>,
    degraded: Vec<&'static str>,
    stopping: bool,
}

/// A part that is not up. Only [`Hold::release`] marks it as up: a hold that is dropped (its task failed or panicked
/// during start) keeps the process not ready for good, because no task is left that could bring the part up.
#[derive(Debug)]
#[must_use = "a hold that is dropped without being released keeps the process not ready for good"]
pub struct Hold {
    part: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Ready as long as no part holds it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready until `part` is released. Take every hold before the first is released, or the process is ready in
    /// between.
    pub fn hold(&self, part: &'static str) -> Hold {
        self.0.lock().waiting.push(part);
        Hold { part, readiness: self.clone() }
    }

    /// Whether no part holds it and the process is not stopping.
    pub fn is_ready(&self) -> bool {
        let state = self.0.lock();
        state.waiting.is_empty() && !state.stopping
    }

    /// The parts that are not up, in the order of their holds; `stopping` last when the process stops.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let state = self.0.lock();
        state.waiting.iter().copied().chain(state.stopping.then_some("stopping")).collect()
    }

    /// Notes that `part` cannot do its work now, so that the process is not ready, or that it can again.
    pub fn suspend(&self, part: &'static str, is_suspended: bool) {
        let waiting = &mut self.0.lock().waiting;
        if !is_suspended {
            waiting.retain(|known| *known != part);
        } else if !waiting.contains(&part) {
            waiting.push(part);
        }
    }

    /// Notes that `part` does not do all of its work now, or does so again. The process stays ready for the rest of its
    /// work.
    pub fn degrade(&self, part: &'static str, is_degraded: bool) {
        let degraded = &mut self.0.lock().degraded;
        if !is_degraded {
            degraded.retain(|known| *known != part);
        } else if !degraded.contains(&part) {
            degraded.push(part);
        }
    }

    /// The parts that do not do all of their work.
    pub fn degraded(&self) -> Vec<&'static str> {
        self.0.lock().degraded.clone()
    }

    /// Makes the process not ready for good.
    pub fn stopping(&self) {
        self.0.lock().stopping = true;
    }
}

impl Hold {
    /// Marks the part as up.
    pub fn release(self) {
        let mut state = self.readiness.0.lock();
        if let Some(at) = state.waiting.iter().position(|part| *part == self.part) {
            state.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_part_is_released_and_never_after_stopping() {
        let readiness = Readiness::new();
        let (store, cache) = (readiness.hold("store"), readiness.hold("cache"));
        assert_eq!(readiness.waiting_for(), ["store", "cache"]);
        store.release();
        assert!(!readiness.is_ready());
        cache.release();
        assert!(readiness.is_ready());
        readiness.stopping();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.waiting_for(), ["stopping"]);
    }

    #[test]
    fn a_suspended_part_makes_a_process_not_ready_until_it_goes_on() {
        let readiness = Readiness::new();
        for _ in 0..2 {
            readiness.suspend("clock", true);
            assert_eq!(readiness.waiting_for(), ["clock"]);
        }
        readiness.suspend("clock", false);
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_hold_that_is_dropped_without_release_still_blocks_readiness() {
        let readiness = Readiness::new();
        drop(readiness.hold("cache"));
        assert_eq!(readiness.waiting_for(), ["cache"]);
    }
}
