//! Settings: one TOML file, then the environment. All errors are found before anything opens, and reported together.

mod checks;
mod duration;
mod merge;
mod reference;
mod secret;

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use checks::Checks;
pub use duration::{Ms, S};
pub use reference::in_order;
pub use secret::Secret;

/// Variables that begin with `YIMA_` and are not settings: the configuration file, the data directory and the log
/// filter, which the command line and [`crate::telemetry::init`] read.
pub const NOT_SETTINGS: [&str; 3] = ["YIMA_CONFIG", "YIMA_DATA_DIR", "YIMA_LOG"];

/// One error in the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The setting, sections separated by dots (`read_api.max_lag_ms`); empty for a whole file.
    pub key: String,
    /// The file or the variable that gave it.
    pub source: String,
    /// The form that was expected. Never repeats the value.
    pub expected: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, source, expected } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{key}{colon}{expected} (from {source})")
    }
}

/// All errors in the settings; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} error{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Lays `file`, if there is one, over `defaults` and the environment over both, and deserialises the result.
///
/// `defaults` (TOML) is for sections whose defaults differ from place to place: serde fills a section that is given in
/// part with the defaults of its type.
///
/// `YIMA_<SECTION>__<KEY>` sets `key` of `[section]`, more `__` go deeper; a value is read as TOML (`5`, `true`,
/// `["a"]`), else as text. Every struct in `T` should be `#[serde(default, deny_unknown_fields)]`.
///
/// # Errors
/// All errors in both sources: unknown keys and variables, values of another type, a file that cannot be read or is not
/// TOML.
pub fn load<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigErrors> {
    load_checked(defaults, file, env, |_, _| {})
}

/// [`load`], and then `check`, which compares settings with each other. It sees the defaults in place of keys that are
/// in error.
///
/// # Errors
/// As [`load`], and those that `check` reports.
pub fn load_checked<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    check: impl FnOnce(&T, &mut Checks<'_>),
) -> Result<T, ConfigErrors> {
    let mut merged = merge::Merged::new(defaults);
    if let Some(path) = file {
        merged.add_file(path);
    }
    merged.add_env(env);
    let config = merged.deserialize();
    if let Some(config) = &config {
        check(config, &mut Checks::new(&mut merged));
    }
    let errors = merged.into_errors();
    config.filter(|_| errors.is_empty()).ok_or(ConfigErrors(errors))
}
