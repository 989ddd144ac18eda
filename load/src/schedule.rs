//! The arrivals of a run, one after another: the intended moment and class of each request. A server cannot delay them.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::class::Class;
use crate::mix::Traffic;
use crate::phase::{Phase, Rate};
use crate::replay::Logged;

/// The next arrival of a thread.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Next {
    /// At this moment since the run's start.
    At(Duration),
    /// As soon as a connection is free, from `from` until `until`.
    WhenFree { from: Duration, until: Duration },
    /// None any more.
    Over,
}

/// The schedule of one thread of several, which share the arrivals.
pub(crate) struct Schedule {
    plan: Plan,
    random: StdRng,
    /// Number of the phase, and its beginning.
    phase: usize,
    begin: Duration,
}

enum Plan {
    Phases {
        phases: Vec<Phase>,
        /// The sums of the weights of the classes up to each.
        weights: [f64; Class::ALL.len()],
        even: bool,
        threads: f64,
        /// Arrivals of all threads since the phase's beginning, by the next one of this thread.
        arrived: f64,
        /// Where each phase begins for this thread.
        first: f64,
    },
    Log {
        requests: Vec<Logged>,
        speed: f64,
        at: usize,
    },
}

impl Schedule {
    pub(crate) fn new(traffic: &Traffic, seed: u64, thread: usize, threads: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ (thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let plan = match traffic {
            Traffic::Phases { phases, weights, even } => {
                let mut sum = 0.0;
                let weights = weights.map(|weight| {
                    sum += weight;
                    sum
                });
                let threads = threads as f64;
                let first = if *even { thread as f64 } else { exponential(&mut random) * threads };
                Plan::Phases { phases: phases.clone(), weights, even: *even, threads, arrived: first, first }
            }
            Traffic::Log { log, speed } => {
                let requests = log.requests.iter().skip(thread).step_by(threads).copied().collect();
                Plan::Log { requests, speed: *speed, at: 0 }
            }
        };
        Self { plan, random, phase: 0, begin: Duration::ZERO }
    }

    /// The next arrival, which stays the next until [`Self::take`].
    pub(crate) fn next(&mut self) -> Next {
        match &mut self.plan {
            Plan::Phases { phases, arrived, .. } => {
                while let Some(phase) = phases.get(self.phase) {
                    match phase.arrivals() {
                        None => return Next::WhenFree { from: self.begin, until: self.begin + phase.length },
                        Some(all) if *arrived < all => return Next::At(self.begin + phase.moment(*arrived)),
                        // The rest of the wait, in arrivals, goes on in the next phase.
                        Some(all) => *arrived -= all,
                    }
                    self.begin += phase.length;
                    self.phase += 1;
                }
                Next::Over
            }
            Plan::Log { requests, speed, at } => {
                requests.get(*at).map_or(Next::Over, |logged| Next::At(logged.at.div_f64(*speed)))
            }
        }
    }

    /// Takes the next arrival: the number of its phase and its class.
    pub(crate) fn take(&mut self) -> (usize, Class) {
        match &mut self.plan {
            Plan::Phases { phases, weights, even, threads, arrived, .. } => {
                if phases.get(self.phase).is_some_and(|phase| phase.rate != Rate::Closed) {
                    *arrived += if *even { *threads } else { exponential(&mut self.random) * *threads };
                }
                let drawn = self.random.random::<f64>() * weights[Class::ALL.len() - 1];
                let class = Class::ALL.into_iter().zip(weights).find(|(_, sum)| drawn < **sum);
                (self.phase, class.map_or(Class::Display, |(class, _)| class))
            }
            Plan::Log { requests, at, .. } => {
                let class = requests[*at].class;
                *at += 1;
                (0, class)
            }
        }
    }

    /// Ends a phase in a closed loop, whose time is over.
    pub(crate) fn end_phase(&mut self) {
        if let Plan::Phases { phases, arrived, first, .. } = &mut self.plan {
            self.begin += phases[self.phase].length;
            self.phase += 1;
            *arrived = *first;
        }
    }
}

/// A waiting time of mean 1 between arrivals that do not know of each other.
fn exponential(random: &mut StdRng) -> f64 {
    -(1.0 - random.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Log;

    const MS: Duration = Duration::from_millis(1);

    fn phase(from: f64, to: f64, seconds: u64) -> Phase {
        let (name, length) = (String::new(), Duration::from_secs(seconds));
        Phase { name, length, rate: Rate::Ramp { from, to }, warm_up: false }
    }

    fn phases(phases: Vec<Phase>, even: bool) -> Traffic {
        Traffic::Phases { phases, weights: [3.0, 1.0, 0.0, 0.0, 0.0, 0.0], even }
    }

    /// Every arrival of a thread: moment, phase, class.
    fn all(traffic: &Traffic, thread: usize, threads: usize) -> Vec<(Duration, usize, Class)> {
        let mut schedule = Schedule::new(traffic, 7, thread, threads);
        let mut arrivals = Vec::new();
        while let Next::At(at) = schedule.next() {
            let (phase, class) = schedule.take();
            arrivals.push((at, phase, class));
        }
        assert_eq!(schedule.next(), Next::Over);
        arrivals
    }

    #[test]
    fn threads_share_even_arrivals_and_a_step_of_ten_times_comes_at_once() {
        let traffic = phases(vec![phase(100.0, 100.0, 1), phase(1_000.0, 1_000.0, 1)], true);
        let mut both = all(&traffic, 0, 2);
        both.extend(all(&traffic, 1, 2));
        both.sort_by_key(|(at, ..)| *at);
        assert_eq!(both.len(), 1_100);
        for (n, (at, phase, _)) in both.iter().enumerate() {
            let expected = if n < 100 { MS * 10 * n as u32 } else { MS * 1_000 + MS * (n as u32 - 100) };
            assert!(at.abs_diff(expected) < MS / 1_000, "arrival {n} at {at:?}");
            assert_eq!(*phase, usize::from(n >= 100));
        }
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_strangers() {
        let arrivals = all(&phases(vec![phase(1_000.0, 1_000.0, 100)], false), 0, 1);
        assert!((99_000..101_000).contains(&arrivals.len()), "{}", arrivals.len());
        let gaps: Vec<f64> = arrivals.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect();
        // Of exponential gaps of mean 1 ms, a share of 1/e is longer than the mean.
        let longer = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
        assert!((0.36..0.38).contains(&longer), "{longer}");
        let displays = arrivals.iter().filter(|(.., class)| *class == Class::Display).count();
        assert!((0.74..0.76).contains(&(displays as f64 / arrivals.len() as f64)), "{displays}");
        assert_eq!(arrivals, all(&phases(vec![phase(1_000.0, 1_000.0, 100)], false), 0, 1), "a seed repeats a run");
    }

    #[test]
    fn a_closed_loop_lasts_until_its_phase_is_ended() {
        let closed = Phase { rate: Rate::Closed, ..phase(0.0, 0.0, 2) };
        let mut schedule = Schedule::new(&phases(vec![closed, phase(1.0, 1.0, 1)], true), 7, 0, 1);
        for _ in 0..3 {
            assert_eq!(schedule.next(), Next::WhenFree { from: Duration::ZERO, until: MS * 2_000 });
            assert_eq!(schedule.take().0, 0);
        }
        schedule.end_phase();
        assert_eq!(schedule.next(), Next::At(MS * 2_000));
    }

    #[test]
    fn a_log_is_replayed_at_its_speed_by_all_threads_together() {
        let logged = |ms, class| Logged { at: MS * ms, class };
        let requests = vec![logged(0, Class::Display), logged(500, Class::Scan), logged(2_000, Class::Code)];
        let log = Log { requests, ..Log::default() };
        let traffic = Traffic::Log { log, speed: 10.0 };
        assert_eq!(all(&traffic, 0, 2), [(Duration::ZERO, 0, Class::Display), (MS * 200, 0, Class::Code)]);
        assert_eq!(all(&traffic, 1, 2), [(MS * 50, 0, Class::Scan)]);
    }
}
