//! The deadline of the request that is being answered. It goes along with the handler, so that work begun on a
//! request's behalf can end with the request wherever it runs.

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Option<Instant>;
}

/// The deadline of the request whose handler calls this; `None` outside a handler, as in a task of its own or in an
/// answer's body.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Runs a step of a handler whose request has this deadline.
pub fn within<T>(deadline: Option<Instant>, step: impl FnOnce() -> T) -> T {
    DEADLINE.sync_scope(deadline, step)
}
