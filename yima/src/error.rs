//! Why a command ends without having done what it was asked; each message says what to change.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use yima_read_api::TuningError;
use yima_schema::rules::RulesError;
use yima_schema::subject::DocumentError;
use yima_service::config::ConfigErrors;
use yima_service::http::TlsError;
use yima_service::telemetry::TelemetryError;
use yima_store::StoreError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Settings at fault, all of them.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Telemetry cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Cache settings, in `read_api.cache` or in the file that its `tuning_file` names.
    #[error(transparent)]
    Tuning(#[from] TuningError),
    /// The rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store refuses.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// Beside an existing store.
    #[error(
        "the pseudonym key {0} is missing, but the store has people who are known by it: restore it from your backup, or choose another --data-dir"
    )]
    PseudonymKeyMissing(PathBuf),
    /// Nothing in it may be believed.
    #[error("{0}: a restore into it did not finish: run `yima restore` again, or choose another --data-dir")]
    RestoreUnfinished(PathBuf),
    /// One service on the engine of one process.
    #[error(
        "--store embedded: only one process can have it open, so it is for `yima` without a command; a service apart runs on --store cql"
    )]
    EmbeddedApart,
    /// Not made yet, or not copied here.
    #[error("{0} is missing: run `yima migrate` first, or copy keys/ from another node of yours")]
    KeyMissing(PathBuf),
    /// A setting that does not fit another, or a value that cannot be meant.
    #[error("{key}: {expected}")]
    Setting {
        /// Which.
        key: &'static str,
        /// What was expected.
        expected: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        why: String,
    },
    /// A key file is not what it should be.
    #[error("{path}: {why}; restore it from your backup")]
    Key {
        /// Which.
        path: PathBuf,
        /// What was expected.
        why: String,
    },
    /// An address cannot be bound.
    #[error("{setting}: cannot listen on {address}: {why}")]
    Bind {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// The system's word.
        why: String,
    },
    /// The files of a public port's TLS.
    #[error("{section}.{fault}")]
    Tls {
        /// Whose settings name them.
        section: &'static str,
        /// What is wrong.
        fault: TlsError,
    },
    /// A document on the command line.
    #[error("DOCUMENT: {0}")]
    Document(#[from] DocumentError),
    /// Something else on the command line.
    #[error("{0}")]
    Usage(String),
}

impl CommandError {
    /// A file that cannot be read or written.
    pub fn file(path: &Path, why: &dyn Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }

    /// A setting whose value cannot be used.
    pub fn setting(key: &'static str, expected: impl Into<String>) -> Self {
        Self::Setting { key, expected: expected.into() }
    }

    /// A key that cannot be used.
    pub fn key(path: &Path, why: &dyn Display) -> Self {
        Self::Key { path: path.to_owned(), why: why.to_string() }
    }
}
