//! Which level follows from what was measured: a pure function, and the ladder that makes it rise fast and come back
//! slowly.

use std::time::Duration;

use tokio::time::Instant;

use super::Level;

/// What is measured of a process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Measured {
    /// Utilization, 0 to 1.
    pub busy: f32,
    /// How long work that is ready waits for a worker.
    pub queue_delay: Duration,
}

/// From which utilization, or queueing delay in milliseconds, each level is entered, from 1 to 7. A node that is well
/// used but whose queues are short loses no field: that takes a queueing delay.
const RUNGS: [(f32, u64); 7] =
    [(0.70, 5), (0.80, 10), (0.85, 15), (0.90, 20), (0.94, 25), (f32::INFINITY, 40), (f32::INFINITY, 80)];
/// A level is left below this much less utilization than it is entered at, and below half of its queueing delay.
const BUSY_LEFT_BELOW: f32 = 0.1;

impl Measured {
    /// The level that this asks for.
    pub fn level(self) -> Level {
        let asked = RUNGS.iter().rposition(|(busy, delay)| self.reaches(*busy, Duration::from_millis(*delay)));
        at(asked.map_or(0, |rung| rung + 1))
    }

    fn reaches(self, busy: f32, delay: Duration) -> bool {
        self.busy >= busy || self.queue_delay >= delay
    }

    /// Whether this is so far below what `level` is entered at that it may be left.
    fn permits_leaving(self, level: Level) -> bool {
        let rung = RUNGS[..usize::from(level.number()).min(RUNGS.len())].last();
        rung.is_none_or(|(busy, delay)| !self.reaches(busy - BUSY_LEFT_BELOW, Duration::from_millis(*delay) / 2))
    }
}

fn at(number: usize) -> Level {
    Level::ALL[number]
}

/// How fast levels change.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A level is entered when it was asked for all this time.
    pub rise_after: Duration,
    /// One level is left when that was permitted all this time; the next one after as long again.
    pub fall_after: Duration,
}

/// The automatic level and what it will become.
#[derive(Debug)]
pub struct Ladder {
    pace: Pace,
    level: Level,
    /// Since when a higher level is asked for, and the lowest asked for since.
    rising: Option<(Instant, Level)>,
    /// Since when leaving the level is permitted.
    falling: Option<Instant>,
}

impl Ladder {
    /// At the level 0.
    pub fn new(pace: Pace) -> Self {
        Self { pace, level: Level::Normal, rising: None, falling: None }
    }

    /// The level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The level after a measurement at `now`. It rises at once to the lowest level that was asked for all the time,
    /// and falls one by one. To be called several times within each time of the pace.
    pub fn step(&mut self, measured: Measured, now: Instant) -> Level {
        let asked = measured.level();
        if asked > self.level {
            self.falling = None;
            let (since, lowest) = self.rising.map_or((now, asked), |(since, lowest)| (since, lowest.min(asked)));
            if now - since >= self.pace.rise_after {
                (self.level, self.rising) = (lowest, None);
            } else {
                self.rising = Some((since, lowest));
            }
            return self.level;
        }
        self.rising = None;
        if self.level == Level::Normal || !measured.permits_leaving(self.level) {
            self.falling = None;
        } else if now - *self.falling.get_or_insert(now) >= self.pace.fall_after {
            self.level = at(usize::from(self.level.number()) - 1);
            self.falling = Some(now);
        }
        self.level
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { rise_after: Duration::from_secs(1), fall_after: Duration::from_secs(10) };

    fn measured(busy: f32, delay_ms: u64) -> Measured {
        Measured { busy, queue_delay: Duration::from_millis(delay_ms) }
    }

    #[test]
    fn a_level_is_asked_for_by_utilization_or_queueing_and_fields_by_queueing_alone() {
        for (busy, delay_ms, level) in [
            (0.0, 0, 0),
            (0.69, 4, 0),
            (0.7, 0, 1),
            (0.0, 5, 1),
            (0.8, 4, 2),
            (0.86, 0, 3),
            (0.5, 20, 4),
            (0.94, 0, 5),
            (1.0, 39, 5),
            (0.2, 40, 6),
            (1.0, 80, 7),
            (1.0, 60_000, 7),
        ] {
            assert_eq!(measured(busy, delay_ms).level().number(), level, "{busy} {delay_ms} ms");
        }
    }

    /// The levels after each measurement, a tenth of a second apart.
    fn walk(ladder: &mut Ladder, start: Instant, measurements: impl IntoIterator<Item = Measured>) -> Vec<u8> {
        let steps = measurements.into_iter().enumerate();
        steps.map(|(n, one)| ladder.step(one, start + Duration::from_millis(100) * n as u32).number()).collect()
    }

    #[test]
    fn it_rises_to_what_was_asked_all_the_time_and_falls_one_by_one() {
        let (mut ladder, start) = (Ladder::new(PACE), Instant::now());
        let load = std::iter::repeat_n(measured(1.0, 100), 5).chain(std::iter::repeat_n(measured(0.9, 0), 10));
        let up = walk(&mut ladder, start, load);
        assert_eq!((up[9], up[10], up[14]), (0, 4, 4), "{up:?}");
        let calm = start + Duration::from_secs(60);
        let down = walk(&mut ladder, calm, std::iter::repeat_n(measured(0.1, 0), 401));
        let changes: Vec<_> = (1..down.len()).filter(|n| down[*n] != down[n - 1]).map(|n| (n, down[n])).collect();
        assert_eq!(changes, [(100, 3), (200, 2), (300, 1), (400, 0)]);
    }

    #[test]
    fn a_moment_of_load_or_of_calm_changes_nothing() {
        let (mut ladder, start) = (Ladder::new(PACE), Instant::now());
        let bursts = (0..1_000).map(|n| measured(if n % 10 == 9 { 0.1 } else { 1.0 }, 0));
        assert!(walk(&mut ladder, start, bursts).iter().all(|level| *level == 0));
        let start = start + Duration::from_secs(1_000);
        walk(&mut ladder, start, std::iter::repeat_n(measured(0.82, 0), 20));
        let start = start + Duration::from_secs(100);
        let lulls = (0..1_000).map(|n| measured(if n % 90 == 89 { 0.75 } else { 0.3 }, 0));
        assert!(walk(&mut ladder, start, lulls).iter().all(|level| *level == 2));
    }

    #[test]
    fn a_measurement_between_leaving_and_entering_keeps_the_level() {
        for entered in 1..=5_usize {
            let (busy, delay_ms) = RUNGS[entered - 1];
            let (mut ladder, start) = (Ladder::new(PACE), Instant::now());
            walk(&mut ladder, start, std::iter::repeat_n(measured(busy, 0), 20));
            let start = start + Duration::from_secs(100);
            let between = (0..1_000).map(|n| measured(busy - 0.01 - 0.08 * (n % 2) as f32, delay_ms / 2 - 1));
            assert!(walk(&mut ladder, start, between).iter().all(|level| usize::from(*level) == entered), "{entered}");
        }
    }

    proptest! {
        #[test]
        fn more_load_asks_for_no_lower_level(
            busy in 0.0..1.0_f32,
            more in 0.0..1.0_f32,
            delay in 0..200u64,
            later in 0..200u64,
        ) {
            prop_assert!(measured(busy, delay).level() <= measured(busy + more, delay + later).level());
        }

        #[test]
        fn a_level_that_is_asked_for_is_never_left(busy in 0.0..1.0_f32, delay in 0..200u64) {
            let measured = measured(busy, delay);
            prop_assert!(!measured.permits_leaving(measured.level()) || measured.level() == Level::Normal);
        }

        #[test]
        fn it_never_passes_what_was_asked_and_always_comes_back(
            load in prop::collection::vec((0.0..1.0_f32, 0..120u64), 1..200),
        ) {
            let (mut ladder, start) = (Ladder::new(PACE), Instant::now());
            let load: Vec<_> = load.into_iter().map(|(busy, delay)| measured(busy, delay)).collect();
            let most = load.iter().map(|one| one.level().number()).max().unwrap();
            let levels = walk(&mut ladder, start, load);
            prop_assert!(levels.iter().all(|level| *level <= most));
            let calm = walk(&mut ladder, start + Duration::from_secs(100), std::iter::repeat_n(measured(0.0, 0), 701));
            prop_assert_eq!(calm.last(), Some(&0));
            prop_assert!(calm.is_sorted_by(|one, next| one >= next && one - next <= 1));
        }
    }
}
