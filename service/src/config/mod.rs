//! Configuration: one TOML file, then the environment. All faults are found before anything opens, and reported together.

mod merge;
mod secret;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

pub use secret::Secret;

/// Variables that begin with `YIMA_` and are not settings: the configuration file, the data directory and the log filter, which the
/// command line and [`crate::telemetry::init`] read.
pub const NOT_SETTINGS: [&str; 3] = ["YIMA_CONFIG", "YIMA_DATA_DIR", "YIMA_LOG"];

/// One thing that is wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The setting, sections separated by dots (`read_api.max_lag_ms`); empty for a whole file.
    pub key: String,
    /// Where it was given: the file or the variable.
    pub source: String,
    /// What was expected there. Never repeats the value.
    pub expected: String,
}

/// Everything that is wrong with the configuration; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} fault{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for ConfigError { key, source, expected } in &self.0 {
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "\n  {key}{colon}{expected} (from {source})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Reads `file` if there is one, lays it over `defaults` and the environment over both, and makes a `T` of it.
///
/// `defaults` (TOML) is for sections whose defaults differ from place to place: serde would fill a section that is given in part with the
/// defaults of its type.
///
/// `YIMA_<SECTION>__<KEY>` sets `key` of `[section]`, more `__` go deeper; a value is read as TOML writes one (`5`, `true`, `["a"]`), else
/// as a text. Every struct in `T` should be `#[serde(default, deny_unknown_fields)]`.
///
/// # Errors
/// Every fault in either source: unknown keys and variables, values of another type, a file that cannot be read or is not TOML.
pub fn load<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigErrors> {
    let mut merged = merge::Merged::new(defaults);
    if let Some(path) = file {
        merged.add_file(path);
    }
    merged.add_env(env);
    merged.deserialize()
}

/// For `deserialize_with` on a field whose key ends in `_ms`: whole milliseconds.
///
/// # Errors
/// Not a whole number of 0 or more.
pub fn ms<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    u64::deserialize(d).map(Duration::from_millis)
}

/// For `deserialize_with` on a field whose key ends in `_s`: whole seconds.
///
/// # Errors
/// Not a whole number of 0 or more.
pub fn s<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    u64::deserialize(d).map(Duration::from_secs)
}
