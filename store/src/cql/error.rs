//! Maps the driver's errors to [`StoreError`], by what the caller can do. No value of a row gets into a message.

use std::fmt::Display;

use scylla::errors::{
    BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError,
    ExecutionError, MetadataError, NewSessionError, PrepareError, RequestAttemptError,
};

use crate::StoreError;

/// Maps the error of a request on `table`.
pub(super) fn from_driver(table: &'static str, error: &ExecutionError) -> StoreError {
    let place = format_args!("table {table}");
    match error {
        ExecutionError::EmptyPlan => StoreError::Unavailable(format!("{place}: no node of the datacenter is up")),
        ExecutionError::ConnectionPoolError(_) => no_connection(place),
        ExecutionError::RequestTimeout(_) => StoreError::TimedOut,
        ExecutionError::LastAttemptError(attempt) => from_attempt(place, attempt),
        ExecutionError::PrepareError(error) => from_prepare(place, error),
        ExecutionError::SchemaAgreementError(_) | ExecutionError::MetadataError(_) => {
            StoreError::Unavailable(format!("{place}: the nodes do not agree on the schema"))
        }
        other @ (ExecutionError::BadQuery(_) | ExecutionError::UseKeyspaceError(_) | _) => driver_refusal(place, other),
    }
}

/// Maps the error of preparing a statement. `place` begins the message.
pub(super) fn from_prepare(place: impl Display, error: &PrepareError) -> StoreError {
    match error {
        PrepareError::ConnectionPoolError(_) => no_connection(place),
        // A missing table of a running process is being rebuilt; at a start the keyspace is the wrong one.
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(DbError::Invalid, message) } => {
            StoreError::Rejected(format!("{place}: {message}"))
        }
        PrepareError::AllAttemptsFailed { first_attempt } => from_attempt(place, first_attempt),
        other @ (PrepareError::PreparedStatementIdsMismatch | _) => driver_refusal(place, other),
    }
}

/// Maps one node's answer, or its silence.
fn from_attempt(place: impl Display, error: &RequestAttemptError) -> StoreError {
    match error {
        // No answer came: the request may have been executed.
        RequestAttemptError::BrokenConnectionError(_) => StoreError::TimedOut,
        RequestAttemptError::UnableToAllocStreamId => {
            StoreError::Unavailable(format!("{place}: too many requests in flight"))
        }
        RequestAttemptError::DbError(error, message) => from_database(place, error, message),
        // An answer that cannot be read: the request may have been executed.
        RequestAttemptError::BodyExtensionsParseError(_)
        | RequestAttemptError::CqlResultParseError(_)
        | RequestAttemptError::CqlErrorParseError(_)
        | RequestAttemptError::UnexpectedResponse(_)
        | RequestAttemptError::NonfinishedPagingState => StoreError::TimedOut,
        other @ (RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::RepreparedIdChanged { .. }
        | RequestAttemptError::RepreparedIdMissingInBatch
        | _) => driver_refusal(place, other),
    }
}

/// Maps an error of the database. `message` is about a statement of this program: it names tables and columns, no
/// values.
fn from_database(place: impl Display, error: &DbError, message: &str) -> StoreError {
    match error {
        DbError::Unavailable { required, alive, .. } => {
            StoreError::Unavailable(format!("{place}: {alive} of {required} required replicas are up"))
        }
        DbError::Overloaded | DbError::IsBootstrapping | DbError::RateLimitReached { .. } => {
            StoreError::Unavailable(format!("{place}: a node takes no more requests now"))
        }
        DbError::ReadTimeout { .. }
        | DbError::WriteTimeout { .. }
        | DbError::ReadFailure { .. }
        | DbError::WriteFailure { .. }
        | DbError::ServerError => StoreError::TimedOut,
        // A rebuild drops a region's keyspace and creates it again while others use it.
        DbError::Invalid if is_missing_table(message) => {
            StoreError::Unavailable(format!("{place}: it does not exist; is the region being rebuilt?"))
        }
        DbError::AuthenticationError => StoreError::Rejected(format!(
            "{place}: the database does not accept store.cql.user and its password: correct them ({message})"
        )),
        DbError::Unauthorized => StoreError::Rejected(format!(
            "{place}: the database user of store.cql.user lacks a permission: grant it ({message})"
        )),
        // An error code that the driver does not know: the request may have been executed.
        DbError::Other(_) => StoreError::TimedOut,
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. }
        | DbError::ConfigError
        | DbError::TruncateError
        | DbError::Unprepared { .. }
        | DbError::ProtocolError
        | _ => StoreError::Rejected(format!("{place}: the database refuses the statement: {message}")),
    }
}

/// Whether a node says that a table or its keyspace does not exist. The first wording is Cassandra's, the others are
/// ScyllaDB's.
fn is_missing_table(message: &str) -> bool {
    ["does not exist", "unconfigured table", "Can't find a column family"].iter().any(|words| message.contains(words))
}

fn no_connection(place: impl Display) -> StoreError {
    StoreError::Unavailable(format!("{place}: no connection to a node"))
}

fn driver_refusal(place: impl Display, error: &impl std::fmt::Debug) -> StoreError {
    StoreError::Rejected(format!("{place}: the driver refuses the request: {}", kind(error)))
}

/// Maps the error of opening a session.
pub(super) fn from_new_session(contact_points: &[String], error: &NewSessionError) -> StoreError {
    let nodes = contact_points.join(", ");
    match error {
        NewSessionError::FailedToResolveAnyHostname(_) => {
            StoreError::Rejected(format!("store.cql.contact_points: none of {nodes} is a known host"))
        }
        NewSessionError::EmptyKnownNodesList => {
            StoreError::Rejected("store.cql.contact_points: expected at least one node".into())
        }
        NewSessionError::MetadataError(error) if is_silent(error) => no_answer(contact_points),
        error @ (NewSessionError::IllegalConfig(_)
        | NewSessionError::MetadataError(_)
        | NewSessionError::UseKeyspaceError(_)
        | _) => StoreError::Unavailable(format!(
            "store.cql.contact_points: no session with any of {nodes} (is the database up, and are store.cql.user, \
             password and tls right?): {error}"
        )),
    }
}

/// Whether a node accepted the connection and sent no sign of life.
fn is_silent(error: &MetadataError) -> bool {
    let MetadataError::ConnectionPoolError(ConnectionPoolError::Broken { last_connection_error }) = error else {
        return false;
    };
    let ConnectionError::ConnectionSetupRequestError(setup) = last_connection_error else { return false };
    let ConnectionSetupRequestErrorKind::BrokenConnection(broken) = &setup.error else { return false };
    matches!(broken.downcast_ref(), Some(BrokenConnectionErrorKind::KeepaliveTimeout(_)))
}

/// The contact points accepted a connection and stayed silent.
pub(super) fn no_answer(contact_points: &[String]) -> StoreError {
    let nodes = contact_points.join(", ");
    StoreError::Unavailable(format!(
        "store.cql.contact_points: none of {nodes} gives an answer (is that the database?)"
    ))
}

/// The name of an error's variant, without what it carries.
fn kind(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn mapped(error: DbError, message: &str) -> StoreError {
        let attempt = RequestAttemptError::DbError(error, message.into());
        from_driver("views", &ExecutionError::LastAttemptError(attempt))
    }

    #[test]
    fn a_missing_permission_is_rejected_with_what_to_change() {
        let message = "User yima has no MODIFY permission on <table yima_xian.views>";
        for (error, advice) in [
            (DbError::Unauthorized, "lacks a permission: grant it"),
            (DbError::AuthenticationError, "does not accept store.cql.user and its password: correct them"),
        ] {
            let StoreError::Rejected(text) = mapped(error, message) else { panic!("not rejected") };
            assert!(text.starts_with("table views: "), "{text}");
            assert!(text.contains("store.cql.user") && text.contains(advice) && text.contains(message), "{text}");
        }
    }

    #[test]
    fn a_missing_permission_is_rejected_while_preparing_too() {
        let first_attempt = RequestAttemptError::DbError(DbError::Unauthorized, String::new());
        let error = PrepareError::AllAttemptsFailed { first_attempt };
        assert!(matches!(from_prepare("a statement", &error), StoreError::Rejected(_)));
        let error = ExecutionError::PrepareError(error);
        assert!(matches!(from_driver("views", &error), StoreError::Rejected(_)));
    }

    #[test]
    fn a_refused_statement_is_rejected() {
        for error in [DbError::SyntaxError, DbError::Invalid, DbError::ConfigError, DbError::ProtocolError] {
            assert!(matches!(mapped(error, "Undefined column name"), StoreError::Rejected(_)));
        }
    }

    #[test]
    fn too_few_replicas_or_an_overload_are_unavailable() {
        let too_few = DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        assert!(matches!(
            mapped(too_few, ""),
            StoreError::Unavailable(text) if text == "table views: 1 of 2 required replicas are up"
        ));
        assert!(matches!(mapped(DbError::Overloaded, ""), StoreError::Unavailable(_)));
        assert!(matches!(mapped(DbError::Invalid, "unconfigured table views"), StoreError::Unavailable(_)));
    }

    #[test]
    fn an_unknown_outcome_is_a_timeout() {
        let timeout = DbError::WriteTimeout {
            consistency: Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        for error in [timeout, DbError::ServerError, DbError::Other(0x1700)] {
            assert!(matches!(mapped(error, ""), StoreError::TimedOut));
        }
    }
}
