//! Maps fjall's errors to [`StoreError`]. Messages name kinds, never bytes.

use fjall::{Error, LsmError};

use crate::StoreError;

/// Maps the storage engine's error in `table`.
pub(super) fn from_fjall(table: &'static str, error: &Error) -> StoreError {
    match error {
        Error::Io(e) | Error::Storage(LsmError::Io(e)) => {
            StoreError::Unavailable(format!("table {table}: {}", e.kind()))
        }
        Error::Locked => StoreError::Rejected(
            "the data directory is in use by another process: stop that one, or choose another data directory".into(),
        ),
        Error::InvalidVersion(_) => StoreError::Rejected(
            "the data directory was written by another version of the storage engine: use the program that wrote it"
                .into(),
        ),
        Error::Poisoned | Error::KeyspaceDeleted => StoreError::Unavailable("it stopped after a failed write".into()),
        Error::Storage(_)
        | Error::JournalRecovery(_)
        | Error::Decompress(_)
        | Error::InvalidTrailer
        | Error::InvalidTag(_)
        | Error::Unrecoverable
        | _ => StoreError::Corrupt { table, what: "a block or a journal entry".into() },
    }
}
