//! The one error of commands: why a command ended without its result. Each message says what to change.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use yima_read_api::TuningError;
use yima_schema::guidance::GuidanceError;
use yima_schema::rules::RulesError;
use yima_schema::subject::DocumentError;
use yima_service::config::ConfigErrors;
use yima_service::http::TlsError;
use yima_service::jwt::JwksError;
use yima_service::telemetry::TelemetryError;
use yima_store::StoreError;
use yima_writer::OperatorFileError;

use crate::backup::BackupError;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Invalid settings, all of them.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Telemetry cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The file that `read_api.cache.tuning_file` names is invalid.
    #[error(transparent)]
    Tuning(#[from] TuningError),
    /// A file of the operator that the writer reads is invalid.
    #[error(transparent)]
    OperatorFile(#[from] OperatorFileError),
    /// The rules are invalid.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The guidance is invalid.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// The store failed or refused.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The pseudonym key is missing beside an existing store.
    #[error(
        "the pseudonym key {0} is missing, but the store has subjects derived from it: restore it from your backup, or \
         choose another --data-dir"
    )]
    PseudonymKeyMissing(PathBuf),
    /// The data directory holds an unfinished restore, so nothing in it is valid.
    #[error("{0}: a restore into it did not finish: run `yima restore` again, or choose another --data-dir")]
    RestoreUnfinished(PathBuf),
    /// A service apart on the embedded engine, which only one process can open.
    #[error(
        "--store embedded: only one process can open the embedded store, so it is for `yima` without a command; a \
         service apart runs on --store cql"
    )]
    EmbeddedApart,
    /// A key does not exist yet, or was not copied to this machine.
    #[error("{0} is missing: run `yima migrate` first, or copy keys/ from another node of yours")]
    KeyMissing(PathBuf),
    /// A setting contradicts another one, or has a value out of range.
    #[error("{key}: {expected}")]
    Setting {
        /// The key.
        key: &'static str,
        /// The expected value.
        expected: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        why: String,
    },
    /// A key file is invalid.
    #[error("{path}: {why}; restore it from your backup")]
    Key {
        /// The file.
        path: PathBuf,
        /// The expected content.
        why: String,
    },
    /// The keys of the demo identity provider cannot verify tokens.
    #[error("the demo identity provider's key: {0}")]
    DemoKeys(#[from] JwksError),
    /// An address cannot be bound.
    #[error("{setting}: cannot listen on {address}: {why}")]
    Bind {
        /// The setting with the address.
        setting: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// The system's message.
        why: String,
    },
    /// The TLS files of a public port are invalid.
    #[error("{section}.{error}")]
    Tls {
        /// The section that names the files.
        section: &'static str,
        /// The invalid file.
        error: TlsError,
    },
    /// The document number on the command line is invalid.
    #[error("DOCUMENT: {0}")]
    Document(#[from] DocumentError),
    /// A backup was not written, or nothing was restored from one.
    #[error("{outcome}: {error}")]
    Backup {
        /// The operation that failed, and its file.
        outcome: String,
        /// The reason.
        error: BackupError,
    },
    /// A load test did not begin.
    #[error(transparent)]
    Load(#[from] yima_load::LoadError),
    /// The runtime cannot start.
    #[error("the runtime cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
    /// A task of the start ended early.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
    /// Any other error of the command line or its environment.
    #[error("{0}")]
    Usage(String),
}

impl CommandError {
    /// A file cannot be read or written.
    pub fn file(path: &Path, why: &dyn Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }

    /// A setting has an invalid value.
    pub fn setting(key: &'static str, expected: impl Into<String>) -> Self {
        Self::Setting { key, expected: expected.into() }
    }

    /// A key file is invalid.
    pub fn key(path: &Path, why: &dyn Display) -> Self {
        Self::Key { path: path.to_owned(), why: why.to_string() }
    }
}
