//! The wall clock, read in one place; all other code gets the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;

/// The present moment by this machine's clock. A clock before 1970 counts as 1970.
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Detects jumps of the wall clock by comparing it with the monotonic clock, which cannot be set.
pub struct Jumps {
    /// Both clocks at the start.
    start: (Time, Instant),
    /// How far the wall clock is ahead of the time that it would show had it run on since the start, in milliseconds.
    offset_ms: i64,
}

/// Smaller offsets come from slow corrections of the clock, or from a pause of the process between its reads of the two
/// clocks.
const JUMP_MS: u64 = 1_000;

impl Jumps {
    /// Detects jumps from this moment on.
    pub fn new(wall: Time, monotonic: Instant) -> Self {
        for direction in ["ahead", "back"] {
            metrics::counter!("clock_jumps_total", "direction" => direction).absolute(0);
        }
        Self { start: (wall, monotonic), offset_ms: 0 }
    }

    /// Detects a jump by at least a second since the last check: counts it in `clock_jumps_total`, logs it and returns
    /// it, in milliseconds. `clock_offset_seconds` is the sum of all jumps and of slow corrections.
    pub fn check(&mut self, wall: Time, monotonic: Instant) -> Option<i64> {
        let passed = i64::try_from(monotonic.duration_since(self.start.1).as_millis()).unwrap_or(i64::MAX);
        let offset_ms = wall.as_millis().saturating_sub(self.start.0.as_millis()).saturating_sub(passed);
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
            "the clock jumped; answers, sessions and events are judged by the new time"
        );
        Some(jump)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_jump_is_reported_once_and_a_slow_correction_is_no_jump() {
        let (wall, monotonic) = (Time::from_secs(1_000_000), Instant::now());
        let mut jumps = Jumps::new(wall, monotonic);
        // (by the monotonic clock, by the wall clock) since the start, in milliseconds → a jump.
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
            assert_eq!(jumps.check(Time::from_millis(wall.as_millis() + shown), at), jump, "{passed}");
        }
    }

    #[test]
    fn now_is_after_this_test_was_written() {
        assert!(now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }
}
