//! All settings of a process: one TOML file, then the environment; see `docs/configuration.md`.

mod cql;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use yima_read_api::config::ReadApiConfig;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::admin::AdminConfig;
use yima_service::config;
use yima_service::jwt::JwtConfig;
use yima_service::lifecycle::LifecycleConfig;
use yima_service::telemetry::TelemetryConfig;
use yima_store::cql::CqlOptions;
use yima_store::embedded::EmbeddedOptions;
use yima_writer::config::WriterConfig;

use crate::error::CommandError;
use cql::CqlConfig;

/// The layer under the file: see there.
const DEFAULTS: &str = include_str!("defaults.toml");

/// What a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Everything, for one machine.
    Everything,
    /// The read service, apart.
    ReadApi,
    /// The writer, apart.
    Writer,
}

impl Role {
    /// Whether it has the read service's port.
    pub fn reads(self) -> bool {
        matches!(self, Self::Everything | Self::ReadApi)
    }

    /// Whether it has the writer's port.
    pub fn writes(self) -> bool {
        matches!(self, Self::Everything | Self::Writer)
    }

    fn defaults(self) -> String {
        let own = match self {
            // In one process there is no balancer to wait for.
            Self::Everything => "[lifecycle]\ndrain_wait_ms = 0\n",
            Self::ReadApi => "",
            // So that one of each can run beside the other.
            Self::Writer => "[admin]\nlisten = \"127.0.0.1:9091\"\n",
        };
        format!("{DEFAULTS}\n{own}")
    }
}

/// The whole document.
#[derive(Clone, Debug, Default, Deserialize)]
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

/// Section `store`: the embedded engine, and in a section of its own the CQL engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for blocks read from disk. Bytes, default 256 MiB; memtables take up to about 100 MiB besides.
    pub cache_bytes: u64,
    /// How long changes stay for followers that are behind. Seconds, default 12 h.
    #[serde(rename = "changes_retention_s", deserialize_with = "config::s")]
    pub changes_retention: Duration,
    /// With less room than this on the data directory's disk no events are taken. Bytes, default 512 MiB: above what journal (256 MiB),
    /// memtables and a compaction still want, since a write that fails stops the store. 0: never mind.
    pub min_free_bytes: u64,
    /// The CQL engine.
    pub cql: CqlConfig,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let changes_retention = Duration::from_secs(12 * 3600);
        Self { cache_bytes: 256 << 20, changes_retention, min_free_bytes: 512 << 20, cql: CqlConfig::default() }
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
    /// Reads `file`, then the environment, over the defaults of that role.
    ///
    /// # Errors
    /// All faults together.
    pub fn load(file: Option<&Path>, role: Role) -> Result<Self, CommandError> {
        Ok(config::load(&role.defaults(), file, std::env::vars())?)
    }

    /// How many connections the public ports of that role take.
    pub fn connections(&self, role: Role) -> u64 {
        let ports = [(role.reads(), &self.read_api.http), (role.writes(), &self.writer.http)];
        ports.iter().filter(|(is_there, _)| *is_there).map(|(_, http)| http.max_connections.get() as u64).sum()
    }

    /// Whether people's own data is to be expected: somebody else than the demo gives the tokens.
    pub fn is_real(&self) -> bool {
        self.identity_provider.keys_file.is_some()
    }

    /// How the CQL store is opened, but for the pseudonym key's fingerprint.
    ///
    /// # Errors
    /// Settings that do not fit each other, or the files of `store.cql.tls`.
    pub fn cql(&self) -> Result<CqlOptions, CommandError> {
        self.store.cql.options(&self.region.name, if self.is_real() { 3 } else { 1 })
    }

    /// How the embedded store is opened.
    pub fn embedded(&self, pseudonyms: &PseudonymKey) -> EmbeddedOptions {
        EmbeddedOptions {
            cache_bytes: self.store.cache_bytes,
            changes_retention: self.store.changes_retention,
            ..EmbeddedOptions::new(self.region.name.clone(), pseudonyms.fingerprint())
        }
    }

    /// Reads the rules.
    ///
    /// # Errors
    /// The file cannot be read, or see [`Rules::parse`].
    pub fn rules(&self) -> Result<Rules, CommandError> {
        match &self.rules.file {
            Some(path) => Ok(Rules::parse(&std::fs::read_to_string(path).map_err(|e| CommandError::file(path, &e))?)?),
            None => Ok(Rules::built_in()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(role: Role, env: &[(&str, &str)]) -> Config {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        config::load(&role.defaults(), None, env).unwrap()
    }

    #[test]
    fn the_layer_of_defaults_is_what_the_types_say() {
        let mut expected = Config::default();
        assert_eq!(format!("{:?}", loaded(Role::ReadApi, &[])), format!("{expected:?}"));
        expected.admin.listen.set_port(9091);
        assert_eq!(format!("{:?}", loaded(Role::Writer, &[])), format!("{expected:?}"));
        let lifecycle = LifecycleConfig { drain_wait: Duration::ZERO, ..LifecycleConfig::default() };
        let expected = Config { lifecycle, ..Config::default() };
        assert_eq!(format!("{:?}", loaded(Role::Everything, &[])), format!("{expected:?}"));
    }

    #[test]
    fn a_section_given_in_part_keeps_its_own_defaults() {
        let env = [("YIMA_READ_API__LIMITS__CODE__REQUESTS", "5"), ("YIMA_LIFECYCLE__STOP_DEADLINE_MS", "1")];
        let config = loaded(Role::Everything, &env);
        assert_eq!(config.read_api.limits.code.window, Duration::from_secs(60));
        assert_eq!(config.lifecycle.drain_wait, Duration::ZERO);
    }

    #[test]
    fn every_port_takes_an_address_of_either_kind() {
        let variables = ["YIMA_READ_API__BIND", "YIMA_WRITER__BIND", "YIMA_ADMIN__LISTEN"];
        let config = loaded(Role::Everything, &variables.map(|variable| (variable, "[::]:8443")));
        for address in [config.read_api.bind, config.writer.bind, config.admin.listen] {
            assert!(address.is_ipv6() && address.ip().is_unspecified() && address.port() == 8443);
        }
        assert_eq!(config.connections(Role::Everything), 2 * config.connections(Role::Writer));
    }

    #[test]
    fn real_data_is_kept_three_times_unless_somebody_says_otherwise() {
        let replicas = |env: &[(&str, &str)]| loaded(Role::Writer, env).cql().unwrap().min_replicas;
        let real = ("YIMA_IDENTITY_PROVIDER__KEYS_FILE", "jwks.json");
        assert_eq!(replicas(&[]), 1);
        assert_eq!(replicas(&[real]), 3);
        assert_eq!(replicas(&[real, ("YIMA_STORE__CQL__MIN_REPLICAS", "2")]), 2);
    }
}
