//! The wall clock, read in one place; everything else is given the time.

use std::time::{SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;

/// The moment now, by this machine's clock. A clock before 1970 counts as 1970.
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #[test]
    fn now_is_after_this_was_written() {
        assert!(super::now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }
}
