//! What can go wrong with a store, by what the caller can do about it.

/// A store's failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable or not able now; nothing was done. Try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer in time: it may or may not have been done. Read again before deciding.
    #[error("the store did not answer in time")]
    TimedOut,
    /// Stored bytes cannot be read. Needs an operator.
    #[error("the store holds bytes that cannot be read: table {table}: {what}")]
    Corrupt {
        /// Table or keyspace.
        table: &'static str,
        /// What could not be read there; never its content.
        what: String,
    },
    /// The store refuses to be opened or used like this. Needs an operator; the message says what to change.
    #[error("{0}")]
    Rejected(String),
}
