//! The wall clock, read in one place; everything else is given the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;

/// The moment now, by this machine's clock. A clock before 1970 counts as 1970.
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Compares the wall clock with the monotonic one, which nobody sets.
pub struct Jumps {
    began: (Time, Instant),
    /// By how much the wall clock is ahead of where it would be had it gone on as it began, in milliseconds.
    offset_ms: i64,
}

/// Less is what a clock that is being corrected slowly does, or one that stood while the process waited between two reads.
const JUMP_MS: u64 = 1_000;

impl Jumps {
    /// From now on.
    pub fn new(wall: Time, monotonic: Instant) -> Self {
        for direction in ["ahead", "back"] {
            metrics::counter!("clock_jumps_total", "direction" => direction).absolute(0);
        }
        Self { began: (wall, monotonic), offset_ms: 0 }
    }

    /// Notices a jump by at least a second since the last look: counts it in `clock_jumps_total`, logs it and returns it, in milliseconds.
    /// `clock_offset_seconds` is the sum of all of them and of slow corrections.
    pub fn look(&mut self, wall: Time, monotonic: Instant) -> Option<i64> {
        let passed = i64::try_from(monotonic.duration_since(self.began.1).as_millis()).unwrap_or(i64::MAX);
        let offset_ms = wall.as_millis().saturating_sub(self.began.0.as_millis()).saturating_sub(passed);
        metrics::gauge!("clock_offset_seconds").set(offset_ms as f64 / 1000.0);
        let jump = offset_ms - std::mem::replace(&mut self.offset_ms, offset_ms);
        if jump.unsigned_abs() < JUMP_MS {
            return None;
        }
        let direction = if jump > 0 { "ahead" } else { "back" };
        metrics::counter!("clock_jumps_total", "direction" => direction).increment(1);
        tracing::error!(
            seconds = jump as f64 / 1000.0,
            direction,
            "the clock jumped: answers, sessions and events are judged by it"
        );
        Some(jump)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jumps_are_told_once_and_slow_corrections_are_none() {
        let (wall, monotonic) = (Time::from_secs(1_000_000), Instant::now());
        let mut jumps = Jumps::new(wall, monotonic);
        // (by the monotonic clock, by the wall clock) since the beginning, in milliseconds → a jump.
        for (passed, shown, jump) in [
            (1_000, 1_000, None),
            (2_000, 2_600, None),
            (3_000, 4_200, None),
            (4_000, 3_605_200, Some(3_600_000)),
            (5_000, 3_606_200, None),
            (6_000, 6_000, Some(-3_601_200)),
            (700_000, 700_000, None),
        ] {
            let at = monotonic + Duration::from_millis(passed);
            assert_eq!(jumps.look(Time::from_millis(wall.as_millis() + shown), at), jump, "{passed}");
        }
    }

    #[test]
    fn now_is_after_this_was_written() {
        assert!(now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }
}
