//! Named places between two steps of a writer at which a test of a whole process can end, pause or fail it. Only with the feature `faults`;
//! otherwise a point is nothing.
//!
//! `FAILPOINT=POINT:ACTION[:NTH]`, at the NTH time (1 by default) that the process comes by: `kill` (SIGKILL), `stop` (SIGSTOP, until
//! continued), `unavailable` and `timeout` (what a store's call answers), `skip` (the step that follows is left out, and nobody told).

/// Every point, in the order in which an event comes by.
pub const POINTS: &[&str] = &[
    "before_append",
    "before_marks",
    "marks_written",
    "marks_seen_open",
    "event_written",
    "appended",
    "version_read",
    "events_read",
    "derived",
    "view_set",
    "views_set",
    "before_changes",
    "changes_written",
    "stream_seen_open",
    "published",
];

/// Those on the way of a backup and of a restore; `part_restored` comes once for each part that is moved to its place, and before that.
pub const BACKUP_POINTS: &[&str] = &["row_backed_up", "row_restored", "part_restored"];

/// Passes a point.
///
/// # Errors
/// If a test asked for one.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn pass(_point: &'static str) -> crate::Result<()> {
    Ok(())
}

/// Whether the step behind a point is to be left out.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn skips(_point: &'static str) -> bool {
    false
}

#[cfg(feature = "faults")]
pub use armed::{pass, skips};

#[cfg(feature = "faults")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use crate::{Result, StoreError};

    struct Fault {
        point: String,
        action: Action,
        nth: u64,
        passed: AtomicU64,
    }

    #[derive(Clone, Copy)]
    enum Action {
        Signal(Signal),
        Unavailable,
        Timeout,
        Skip,
    }

    fn asked() -> Option<&'static Fault> {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        FAULT.get_or_init(|| std::env::var("FAILPOINT").ok().map(|text| parse(&text))).as_ref()
    }

    fn parse(text: &str) -> Fault {
        let parts: Vec<&str> = text.split(':').collect();
        let (point, action) = (parts[0], parts.get(1).copied().unwrap_or_default());
        let known = super::POINTS.contains(&point) || super::BACKUP_POINTS.contains(&point);
        assert!(known, "FAILPOINT: no point {point}");
        let action = match action {
            "kill" => Action::Signal(Signal::KILL),
            "stop" => Action::Signal(Signal::STOP),
            "unavailable" => Action::Unavailable,
            "timeout" => Action::Timeout,
            "skip" => Action::Skip,
            other => panic!("FAILPOINT: no action {other}"),
        };
        let nth = parts.get(2).map_or(1, |n| n.parse().expect("FAILPOINT: NTH is a number"));
        Fault { point: point.to_owned(), action, nth, passed: AtomicU64::new(0) }
    }

    /// Passes a point.
    ///
    /// # Errors
    /// If a test asked for one.
    pub fn pass(point: &'static str) -> Result<()> {
        match due(point, |action| !matches!(action, Action::Skip)) {
            None | Some(Action::Skip) => Ok(()),
            Some(Action::Signal(signal)) => {
                kill_process(getpid(), signal).expect("a process can signal itself");
                Ok(())
            }
            Some(Action::Unavailable) => Err(StoreError::Unavailable("by a test".into())),
            Some(Action::Timeout) => Err(StoreError::TimedOut),
        }
    }

    /// Whether the step behind a point is to be left out.
    pub fn skips(point: &'static str) -> bool {
        due(point, |action| matches!(action, Action::Skip)).is_some()
    }

    /// What a test asked for here and now.
    fn due(point: &'static str, is_mine: impl Fn(Action) -> bool) -> Option<Action> {
        let fault = asked().filter(|fault| fault.point == point && is_mine(fault.action))?;
        (fault.passed.fetch_add(1, Ordering::SeqCst) + 1 == fault.nth).then(|| {
            tracing::warn!(point, "a fault that a test asked for");
            fault.action
        })
    }
}
