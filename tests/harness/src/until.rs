//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until the condition holds, checking it every 20 ms.
///
/// # Panics
/// When it does not hold `within` this time; `what` names the condition.
#[track_caller]
pub fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < within, "waited {within:?} for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
