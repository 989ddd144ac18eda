//! New connections that wait for their first turn. When they come faster than they can be served for some time, only so
//! many may wait as get their turn soon: in a queue that only grows each would wait until its client has given up, and
//! all work would be for clients that have gone. The rest is refused, or, when that would take more than a tenth of the
//! time, left to the system, which drops what does not fit into its backlog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How long a new connection should wait at most.
const TARGET: Duration = Duration::from_millis(20);
/// Waits are judged by their mean over this time, in which somebody always waited: a burst that is over before is taken
/// whole.
const WINDOW: Duration = Duration::from_millis(300);
/// So many may always wait.
const LEAST: usize = 16;
/// After so long without long waits any number may wait again.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// One connection may be refused for each so many that got their turn: refusing one costs a third of a display.
const TURNS_PER_REFUSAL: usize = 4;
/// Refusals that may be made up for.
const REFUSALS: usize = 64;

/// The arrivals of one port.
pub(super) struct Arrivals {
    most: usize,
    queue: Mutex<Queue>,
    /// There is room, or one may be refused.
    ready: Notify,
}

struct Queue {
    waiting: usize,
    limit: usize,
    /// Turns that refusals were not yet made for.
    unspent: usize,
    /// When the limit was lowered last.
    lowered_at: Instant,
    window: Window,
}

/// What happened since its first turn.
struct Window {
    begins_at: Instant,
    turns: u32,
    /// Waits of all turns.
    waited: Duration,
    /// Whether anyone was refused.
    is_limited: bool,
}

/// A connection from its acceptance until its first turn, when this is dropped.
pub(super) struct Arrival {
    arrivals: Arc<Arrivals>,
    accepted_at: Instant,
}

impl Arrivals {
    /// `most`: places of the port.
    pub(super) fn new(most: usize) -> Arc<Self> {
        // A port with fewer places closes others for a new connection.
        let (now, most) = (Instant::now(), most.max(LEAST));
        Arc::new(Self { most, queue: Mutex::new(Queue::new(most, now)), ready: Notify::new() })
    }

    /// Waits until a connection can be let in or refused.
    pub(super) async fn ready(&self) {
        while !self.queue.lock().is_ready() {
            self.ready.notified().await;
        }
    }

    /// `None`: too many wait, and the connection is to be refused.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Arrival> {
        let accepted_at = Instant::now();
        self.queue.lock().admits(self.most, accepted_at).then(|| Arrival { arrivals: Arc::clone(self), accepted_at })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut queue = self.arrivals.queue.lock();
        let was_ready = queue.is_ready();
        queue.turn(self.arrivals.most, self.accepted_at, Instant::now());
        if !was_ready && queue.is_ready() {
            self.arrivals.ready.notify_one();
        }
    }
}

impl Queue {
    fn new(most: usize, now: Instant) -> Self {
        let unspent = REFUSALS * TURNS_PER_REFUSAL;
        Self { waiting: 0, limit: most, unspent, lowered_at: now, window: Window::at(now) }
    }

    fn is_ready(&self) -> bool {
        self.waiting < self.limit || self.unspent >= TURNS_PER_REFUSAL
    }

    fn admits(&mut self, most: usize, now: Instant) -> bool {
        if self.limit < most && now.saturating_duration_since(self.lowered_at) >= FORGOTTEN {
            self.limit = most;
        }
        let admits = self.waiting < self.limit;
        if admits {
            self.waiting += 1;
        } else {
            self.unspent = self.unspent.saturating_sub(TURNS_PER_REFUSAL);
            self.window.is_limited = true;
        }
        admits
    }

    fn turn(&mut self, most: usize, accepted_at: Instant, now: Instant) {
        self.waiting -= 1;
        self.unspent = (self.unspent + 1).min(REFUSALS * TURNS_PER_REFUSAL);
        if self.window.turns == 0 {
            self.window = Window { is_limited: self.window.is_limited, ..Window::at(accepted_at) };
        }
        self.window.turns += 1;
        self.window.waited += now.saturating_duration_since(accepted_at);
        let length = now.saturating_duration_since(self.window.begins_at);
        let is_over = self.waiting == 0;
        if length < WINDOW && !is_over {
            return;
        }
        let Window { turns, waited, is_limited, .. } = std::mem::replace(&mut self.window, Window::at(now));
        if !is_over && waited / turns > TARGET {
            // Little's law: as many as got their turn in that time.
            let fitting = (f64::from(turns) * TARGET.div_duration_f64(length)) as usize;
            self.limit = fitting.max(LEAST).min(self.limit);
            self.lowered_at = now;
        } else if is_limited {
            self.limit = most.min(self.limit + self.limit / 4);
        }
    }
}

impl Window {
    fn at(now: Instant) -> Self {
        Self { begins_at: now, turns: 0, waited: Duration::ZERO, is_limited: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10_000;
    const MS: Duration = Duration::from_millis(1);

    /// A port that gives one connection a millisecond its turn, first come, first served.
    struct Port {
        queue: Queue,
        now: Instant,
        accepted: std::collections::VecDeque<Instant>,
        refused: usize,
        /// Left to the system.
        left: usize,
        longest: Duration,
    }

    impl Port {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                queue: Queue::new(MOST, now),
                now,
                accepted: [].into(),
                refused: 0,
                left: 0,
                longest: Duration::ZERO,
            }
        }

        fn arrive(&mut self, connections: usize) {
            for _ in 0..connections {
                if !self.queue.is_ready() {
                    self.left += 1;
                } else if self.queue.admits(MOST, self.now) {
                    self.accepted.push_back(self.now);
                } else {
                    self.refused += 1;
                }
            }
        }

        fn run(&mut self, milliseconds: usize, arriving: usize) {
            for _ in 0..milliseconds {
                self.arrive(arriving);
                self.now += MS;
                if let Some(accepted_at) = self.accepted.pop_front() {
                    self.longest = self.longest.max(self.now - accepted_at);
                    self.queue.turn(MOST, accepted_at, self.now);
                }
            }
        }
    }

    #[test]
    fn in_a_crowd_waits_are_short_and_every_turn_is_used() {
        let mut port = Port::new();
        port.run(3_000, 3); // the queue of before is served too
        (port.longest, port.refused, port.left) = (Duration::ZERO, 0, 0);
        port.run(10_000, 3);
        assert!(port.longest <= TARGET * 2, "{:?}", port.longest);
        let kept_out = port.refused + port.left;
        assert!((20_000..=20_100).contains(&kept_out), "{kept_out} of 30,000 kept out, of which 10,000 fit");
        assert!((2_400..=2_600).contains(&port.refused), "{} refused, one for four turns", port.refused);
    }

    #[test]
    fn a_burst_is_taken_whole() {
        let mut port = Port::new();
        for _ in 0..5 {
            port.arrive(250);
            port.run(2_000, 0);
        }
        assert_eq!(port.refused + port.left, 0);
    }

    #[test]
    fn after_a_crowd_any_number_may_come_again() {
        let mut port = Port::new();
        port.run(5_000, 3);
        assert!(port.queue.limit < 100);
        port.run(11_000, 0);
        (port.refused, port.left) = (0, 0);
        port.arrive(1_000);
        assert_eq!(port.refused + port.left, 0);
    }

    #[test]
    fn so_many_may_wait_at_least() {
        let mut port = Port::new();
        port.arrive(100);
        port.now += Duration::from_secs(60); // the machine stood still
        port.run(1, 0);
        assert_eq!(port.queue.limit, LEAST);
    }

    #[tokio::test]
    async fn whoever_accepts_waits_when_nobody_may_be_refused_and_goes_on_after_a_turn() {
        let arrivals = Arrivals::new(100);
        arrivals.queue.lock().limit = 2;
        let mut waiting = vec![arrivals.enter().unwrap(), arrivals.enter().unwrap()];
        for _ in 0..REFUSALS {
            arrivals.ready().await;
            assert!(arrivals.enter().is_none());
        }
        let mut ready = std::pin::pin!(arrivals.ready());
        assert!(futures::poll!(&mut ready).is_pending());
        waiting.pop();
        ready.await;
        assert!(arrivals.enter().is_some());
    }
}
