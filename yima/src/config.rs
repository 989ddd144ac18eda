//! All settings of a process: one TOML file, then the environment; see `docs/configuration.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use yima_read_api::config::ReadApiConfig;
use yima_schema::rules::Rules;
use yima_service::admin::AdminConfig;
use yima_service::config;
use yima_service::jwt::JwtConfig;
use yima_service::lifecycle::LifecycleConfig;
use yima_service::telemetry::TelemetryConfig;
use yima_writer::config::WriterConfig;

use crate::error::Failure;

/// The layer under the file: see there.
const DEFAULTS: &str = include_str!("defaults.toml");

/// The whole document.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The region.
    pub region: RegionConfig,
    /// The store.
    pub store: StoreConfig,
    /// The rules.
    pub rules: RulesConfig,
    /// Whose identity tokens are taken. Without a `keys_file`: those of the demo's own provider, which gives them to whoever asks.
    pub identity_provider: JwtConfig,
    /// The read service.
    pub read_api: ReadApiConfig,
    /// The writer.
    pub writer: WriterConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// Starting and stopping.
    pub lifecycle: LifecycleConfig,
    /// Logs, metrics, traces.
    pub telemetry: TelemetryConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: RegionConfig::default(),
            store: StoreConfig::default(),
            rules: RulesConfig::default(),
            identity_provider: JwtConfig::default(),
            read_api: ReadApiConfig::default(),
            writer: WriterConfig::default(),
            admin: AdminConfig::default(),
            // In one process there is no balancer to wait for.
            lifecycle: LifecycleConfig { drain_wait: Duration::ZERO, ..LifecycleConfig::default() },
            telemetry: TelemetryConfig::default(),
        }
    }
}

/// Section `region`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionConfig {
    /// The region's name: issuer of its codes, recorded in its store. Default `local`.
    pub name: String,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self { name: "local".into() }
    }
}

/// Section `store`: the embedded engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for blocks read from disk. Bytes, default 256 MiB; memtables take up to about 100 MiB besides.
    pub cache_bytes: u64,
    /// How long changes stay for followers that are behind. Seconds, default 12 h.
    #[serde(rename = "changes_retention_s", deserialize_with = "config::s")]
    pub changes_retention: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, changes_retention: Duration::from_secs(12 * 3600) }
    }
}

/// Section `rules`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// A rules document. Default: the one that comes with yima (`schema/rules/default.toml`).
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads `file`, then the environment.
    ///
    /// # Errors
    /// All faults together.
    pub fn load(file: Option<&Path>) -> Result<Self, Failure> {
        Ok(config::load(DEFAULTS, file, std::env::vars())?)
    }

    /// Reads the rules.
    ///
    /// # Errors
    /// The file cannot be read, or see [`Rules::parse`].
    pub fn rules(&self) -> Result<Rules, Failure> {
        match &self.rules.file {
            Some(path) => Ok(Rules::parse(&std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?)?),
            None => Ok(Rules::built_in()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(env: &[(&str, &str)]) -> Config {
        config::load(DEFAULTS, None, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))).unwrap()
    }

    #[test]
    fn the_layer_of_defaults_is_what_the_types_say() {
        assert_eq!(format!("{:?}", loaded(&[])), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_section_given_in_part_keeps_its_own_defaults() {
        let config =
            loaded(&[("YIMA_READ_API__LIMITS__CODE__REQUESTS", "5"), ("YIMA_LIFECYCLE__STOP_DEADLINE_MS", "1")]);
        assert_eq!(config.read_api.limits.code.window, Duration::from_secs(60));
        assert_eq!(config.lifecycle.drain_wait, Duration::ZERO);
    }
}
