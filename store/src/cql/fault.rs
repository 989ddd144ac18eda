//! The driver's errors as ours: by what the caller can do, never with values in them.

use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

use crate::StoreError;

/// What a failed request on that table means to a caller.
pub(super) fn fault(table: &'static str, error: &ExecutionError) -> StoreError {
    match error {
        ExecutionError::EmptyPlan => StoreError::Unavailable(format!("table {table}: no node of the datacenter is up")),
        ExecutionError::ConnectionPoolError(_) => {
            StoreError::Unavailable(format!("table {table}: no connection to a node"))
        }
        ExecutionError::RequestTimeout(_) => StoreError::TimedOut,
        ExecutionError::LastAttemptError(attempt) => attempted(table, attempt),
        ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_)) => {
            StoreError::Unavailable(format!("table {table}: no connection to a node"))
        }
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
            attempted(table, first_attempt)
        }
        ExecutionError::SchemaAgreementError(_) | ExecutionError::MetadataError(_) => {
            StoreError::Unavailable(format!("table {table}: the nodes do not agree on the schema"))
        }
        other @ (ExecutionError::BadQuery(_)
        | ExecutionError::UseKeyspaceError(_)
        | ExecutionError::PrepareError(_)
        | _) => StoreError::Rejected(format!("table {table}: the driver refuses the request: {}", kind(other))),
    }
}

/// What an answer of a node means.
fn attempted(table: &'static str, error: &RequestAttemptError) -> StoreError {
    match error {
        // No answer came, or none that could be read: it may have been done.
        RequestAttemptError::BrokenConnectionError(_) => StoreError::TimedOut,
        RequestAttemptError::UnableToAllocStreamId => {
            StoreError::Unavailable(format!("table {table}: too many requests under way"))
        }
        RequestAttemptError::DbError(error, message) => match error {
            DbError::Unavailable { required, alive, .. } => {
                StoreError::Unavailable(format!("table {table}: {alive} of {required} replicas that are needed are up"))
            }
            DbError::Overloaded | DbError::IsBootstrapping | DbError::RateLimitReached { .. } => {
                StoreError::Unavailable(format!("table {table}: a node takes no more for now"))
            }
            DbError::ReadTimeout { .. }
            | DbError::WriteTimeout { .. }
            | DbError::ReadFailure { .. }
            | DbError::WriteFailure { .. }
            | DbError::ServerError => StoreError::TimedOut,
            // A region's keyspace is dropped and made again under those who use it.
            DbError::Invalid if is_gone(message) => {
                StoreError::Unavailable(format!("table {table}: it is not there; is the region being rebuilt?"))
            }
            DbError::AuthenticationError | DbError::Unauthorized => StoreError::Rejected(format!(
                "table {table}: the database does not permit this to store.cql.user: {message}"
            )),
            // A kind of error that the driver does not know: it may have been done.
            DbError::Other(_) => StoreError::TimedOut,
            // The message of a statement of ours: it has names of tables and columns in it, no values.
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::ConfigError
            | DbError::TruncateError
            | DbError::Unprepared { .. }
            | DbError::ProtocolError
            | _ => StoreError::Rejected(format!("table {table}: the database refuses the statement: {message}")),
        },
        // An answer that cannot be read: it may have been done.
        RequestAttemptError::BodyExtensionsParseError(_)
        | RequestAttemptError::CqlResultParseError(_)
        | RequestAttemptError::CqlErrorParseError(_)
        | RequestAttemptError::UnexpectedResponse(_)
        | RequestAttemptError::NonfinishedPagingState => StoreError::TimedOut,
        other @ (RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::RepreparedIdChanged { .. }
        | RequestAttemptError::RepreparedIdMissingInBatch
        | _) => StoreError::Rejected(format!("table {table}: the driver refuses the request: {}", kind(other))),
    }
}

/// Whether a node says that a table or its keyspace does not exist: Cassandra in the first words, ScyllaDB in the others.
fn is_gone(message: &str) -> bool {
    ["does not exist", "unconfigured table", "Can't find a column family"].iter().any(|words| message.contains(words))
}

/// Why there is no session at all.
pub(super) fn no_session(contact_points: &[String], error: &NewSessionError) -> StoreError {
    let nodes = contact_points.join(", ");
    match error {
        NewSessionError::FailedToResolveAnyHostname(_) => {
            StoreError::Rejected(format!("store.cql.contact_points: none of {nodes} is a known host"))
        }
        NewSessionError::EmptyKnownNodesList => {
            StoreError::Rejected("store.cql.contact_points: expected at least one node".into())
        }
        error @ (NewSessionError::IllegalConfig(_)
        | NewSessionError::MetadataError(_)
        | NewSessionError::UseKeyspaceError(_)
        | _) => StoreError::Unavailable(format!(
            "store.cql.contact_points: no session with any of {nodes} (is the database up, and are store.cql.user, password and tls right?): {error}"
        )),
    }
}

/// Why there is no session after long enough.
pub(super) fn no_answer(contact_points: &[String]) -> StoreError {
    let nodes = contact_points.join(", ");
    StoreError::Unavailable(format!(
        "store.cql.contact_points: none of {nodes} gives an answer (is that the database?)"
    ))
}

/// The name of an error's kind, without what it carries.
fn kind(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
