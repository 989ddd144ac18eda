//! Failpoints: named places between two steps of a writer at which a test of a whole process can end, pause or fail it.
//! They do nothing without the feature `faults`.
//!
//! `FAILPOINT=POINT:ACTION[:NTH]` arms a point: the NTH pass (1 by default) triggers the action. `kill` (SIGKILL),
//! `stop` (SIGSTOP, until continued), `unavailable` and `timeout` (the store's call fails so), `skip` (the next step is
//! silently left out).

/// Every failpoint, in the order in which an event passes them.
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
    "denials_written",
    "view_set",
    "views_set",
    "before_changes",
    "changes_written",
    "stream_seen_open",
    "published",
];

/// The failpoints of a change of keys: a file is written, but does not have its name yet; `keys.json` is in place, and
/// the files of secrets that it no longer needs are still there.
pub const KEY_POINTS: &[&str] = &["key_written", "keys_listed"];

/// The failpoints of a backup and of a restore. `part_restored` is passed before each part is moved to its place, and
/// once after the last.
pub const BACKUP_POINTS: &[&str] = &["row_backed_up", "row_restored", "part_restored"];

/// The failpoints of a region's retirement and of its return.
pub const REGION_POINTS: &[&str] = &[
    "retiring_recorded",
    "replicas_removed",
    "retired_recorded",
    "keyspace_dropped",
    "replicas_added",
    "rejoining_recorded",
    "region_rebuilt",
    "region_reconciled",
];

/// Passes a failpoint.
///
/// # Errors
/// If a test armed it with one.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn pass(_point: &'static str) -> crate::Result<()> {
    Ok(())
}

/// Whether the step behind a failpoint is to be left out.
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

    struct Failpoint {
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

    fn armed() -> Option<&'static Failpoint> {
        static FAILPOINT: OnceLock<Option<Failpoint>> = OnceLock::new();
        FAILPOINT.get_or_init(|| std::env::var("FAILPOINT").ok().map(|text| parse(&text))).as_ref()
    }

    fn parse(text: &str) -> Failpoint {
        let parts: Vec<&str> = text.split(':').collect();
        let (point, action) = (parts[0], parts.get(1).copied().unwrap_or_default());
        let known =
            [super::POINTS, super::KEY_POINTS, super::BACKUP_POINTS, super::REGION_POINTS].concat().contains(&point);
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
        Failpoint { point: point.to_owned(), action, nth, passed: AtomicU64::new(0) }
    }

    /// Passes a failpoint.
    ///
    /// # Errors
    /// If a test armed it with one.
    pub fn pass(point: &'static str) -> Result<()> {
        match due(point, |action| !matches!(action, Action::Skip)) {
            None | Some(Action::Skip) => Ok(()),
            Some(Action::Signal(signal)) => {
                kill_process(getpid(), signal).expect("a process can signal itself");
                Ok(())
            }
            Some(Action::Unavailable) => Err(StoreError::Unavailable("by a failpoint".into())),
            Some(Action::Timeout) => Err(StoreError::TimedOut),
        }
    }

    /// Whether the step behind a failpoint is to be left out.
    pub fn skips(point: &'static str) -> bool {
        due(point, |action| matches!(action, Action::Skip)).is_some()
    }

    /// The action that this pass triggers.
    fn due(point: &'static str, is_handled: impl Fn(Action) -> bool) -> Option<Action> {
        let armed = armed().filter(|armed| armed.point == point && is_handled(armed.action))?;
        (armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.nth).then(|| {
            tracing::warn!(point, "failpoint triggered");
            armed.action
        })
    }
}
