//! Errors of a store, by what the caller can do.

/// The result of every call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a call of a store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable or not able now; nothing was done. Try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer in time: the call may or may not have been executed. Read again before deciding.
    #[error("the store did not answer in time")]
    TimedOut,
    /// Stored bytes cannot be read. An operator has to repair or restore them.
    #[error("the store holds bytes that cannot be read: table {table}: {what}")]
    Corrupt {
        /// Table or keyspace.
        table: &'static str,
        /// The part that could not be read there; never its content.
        what: String,
    },
    /// The store refuses to be opened or used like this; nothing was done, and stored bytes are not in doubt. An
    /// operator has to change a setting, a permission or the program; the message says which.
    #[error("{0}")]
    Rejected(String),
}
