//! Waiting for what comes to be so.

use std::thread;
use std::time::{Duration, Instant};

/// Asks until it is so.
///
/// # Panics
/// When it is not `within` that time; `what` says what was waited for.
#[track_caller]
pub fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < within, "waited {within:?} for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
