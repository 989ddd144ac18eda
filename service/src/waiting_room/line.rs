//! The line of one node: until when its places are given. Three numbers, however many wait.

use std::time::Duration;

use yima_schema::time::Time;

use super::MAX_WAIT;

/// One who is due and finds the resource taken comes again after this, and up to twice as long.
const AGAIN: Duration = Duration::from_secs(1);
/// While the line is served below this share of its rate, those who are due leave room, since some do not come: whoever
/// waits and asks early is let in.
const EARLY: f64 = 0.75;
/// Below this share newcomers are let in too.
const NEW: f64 = 0.5;
/// The rate is measured over at least this time.
const MEASURE: Duration = Duration::from_secs(5);
/// Places are given at this share of the rate, or those who are due would wait by chance.
const GIVEN: f64 = 0.95;
/// The lowest rate, a second.
const LEAST_RATE: f64 = 0.1;

/// How somebody comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// Without a ticket that counts.
    New,
    /// With one for this time.
    WithTicket { due: Time },
}

/// A place in line.
pub(super) struct Place {
    /// The time of the ticket, which it keeps.
    pub(super) due: Time,
    /// When to come back: then, or later if the resource is taken.
    pub(super) comes_at: Time,
    /// How many places are before this one and have not been due yet, and this one.
    pub(super) number: u64,
}

pub(super) struct Line {
    /// Places a second.
    rate: f64,
    /// The time of the last place that was given.
    end: Time,
    /// Those let in lately: decays by 1/e in [`Self::memory`].
    lately: f64,
    lately_at: Time,
    served: u64,
    served_since: Time,
}

impl Line {
    pub(super) fn new(rate: f64) -> Self {
        let (start, rate) = (Time::from_millis(0), rate.max(LEAST_RATE));
        Self { rate, end: start, lately: 0.0, lately_at: start, served: 0, served_since: start }
    }

    /// The time until one who joins now is due.
    pub(super) fn wait(&self, now: Time) -> Duration {
        self.end.since(now)
    }

    /// Whether one who comes so may try now.
    pub(super) fn lets_in(&mut self, came: Came, now: Time) -> bool {
        // A clock that was set back does not make a line.
        self.end = self.end.min(now.plus(MAX_WAIT));
        let memory = self.memory();
        self.lately *= (-now.since(self.lately_at).as_secs_f64() / memory).exp();
        self.lately_at = now;
        let served = self.lately / memory / self.rate;
        let may = match came {
            Came::WithTicket { due } => due <= now || served < EARLY,
            Came::New => self.end <= now || served < NEW,
        };
        if may {
            self.lately += 1.0;
        }
        may
    }

    /// The place of one who was not let in, or found the resource taken. `None`: the line is full.
    pub(super) fn place(&mut self, came: Came, now: Time) -> Option<Place> {
        let due = match came {
            Came::New if self.wait(now) >= MAX_WAIT => return None,
            Came::New => self.lengthen(now),
            Came::WithTicket { due } => {
                // The resource is behind the line: the places of those who come later move on by one.
                if due <= now {
                    self.lengthen(now);
                }
                due
            }
        };
        let again = || now.plus(AGAIN.mul_f32(1.0 + rand::random::<f32>()));
        let comes_at = if due <= now { again() } else { due };
        Some(Place {
            due,
            comes_at,
            number: (due.since(now).as_secs_f64() * self.rate * GIVEN).round().max(1.0) as u64,
        })
    }

    /// Measures the rate while somebody waits: before, it is that of those who come.
    pub(super) fn served(&mut self, now: Time) {
        if self.end <= now {
            (self.served, self.served_since) = (0, now);
            return;
        }
        self.served += 1;
        let elapsed = now.since(self.served_since);
        if elapsed >= MEASURE {
            let measured = self.served as f64 / elapsed.as_secs_f64();
            self.rate = ((self.rate + measured) / 2.0).max(LEAST_RATE);
            (self.served, self.served_since) = (0, now);
        }
    }

    /// Gives the next place; returns its time.
    fn lengthen(&mut self, now: Time) -> Time {
        let (from, apart) = (self.end.max(now), 1_000.0 / (self.rate * GIVEN));
        // A fraction of a millisecond is the probability of a whole one.
        self.end = from.plus(Duration::from_millis((apart + rand::random::<f64>()) as u64));
        self.end
    }

    /// The time over which those let in are counted, in seconds: of ten places, at least a second.
    fn memory(&self) -> f64 {
        (10.0 / self.rate).max(1.0)
    }
}
