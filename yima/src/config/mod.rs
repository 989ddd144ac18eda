//! All settings of a process: one TOML file, then the environment. `docs/configuration.md` is generated from their doc
//! comments.

mod cql;
#[cfg(test)]
mod reference;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_auditor::AuditConfig;
use yima_read_api::config::ReadApiConfig;
use yima_schema::guidance::Guidance;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::admin::AdminConfig;
use yima_service::config::{self, Checks};
use yima_service::jwt::JwtConfig;
use yima_service::lifecycle::LifecycleConfig;
use yima_service::oidc::is_secure;
use yima_service::telemetry::TelemetryConfig;
use yima_store::cql::CqlOptions;
use yima_store::embedded::EmbeddedOptions;
use yima_writer::config::{OfflineConfig, WriterConfig};

use crate::cli::Service;
use crate::error::CommandError;
use crate::keys::{KeyDir, Pkcs11Config};
use cql::CqlConfig;

pub use tls::trusting;

/// Shortest time in seconds between two polls of a page of the demo, where nothing comes as a crowd.
const DEMO_REFRESH_AFTER_S: u32 = 1;

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

impl From<Service> for Role {
    fn from(service: Service) -> Self {
        match service {
            Service::Everything => Self::Everything,
            Service::ReadApi => Self::ReadApi,
            Service::Writer => Self::Writer,
        }
    }
}

impl Role {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::ReadApi => "read-api",
            Self::Writer => "writer",
        }
    }

    /// Whether it has the read service's port.
    pub fn reads(self) -> bool {
        matches!(self, Self::Everything | Self::ReadApi)
    }

    /// Whether it has the writer's port.
    pub fn writes(self) -> bool {
        matches!(self, Self::Everything | Self::Writer)
    }

    /// The settings of a process for which neither file nor environment has any.
    fn defaults(self) -> Config {
        let mut config = Config::default();
        match self {
            // In one process there is no balancer to wait for.
            Self::Everything => config.lifecycle.drain_wait = Duration::ZERO,
            Self::ReadApi => {}
            // So that one of each can run beside the other.
            Self::Writer => config.admin.listen.set_port(9091),
        }
        config
    }
}

/// The whole document.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct Config {
    /// The region.
    pub region: RegionConfig,
    /// The issuer of identity tokens.
    pub identity_provider: JwtConfig,
    /// The keys.
    pub keys: KeysConfig,
    /// The store.
    pub store: StoreConfig,
    /// The rules.
    pub rules: RulesConfig,
    /// The read service.
    pub read_api: ReadApiConfig,
    /// The writer.
    pub writer: WriterConfig,
    /// Offline bundles.
    pub offline: OfflineConfig,
    /// The auditor.
    pub audit: AuditConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// Stopping.
    pub lifecycle: LifecycleConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
}

/// The region of this process.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct RegionConfig {
    /// Name of the region: the issuer of its codes. The embedded store records the name when it is made, and refuses
    /// another one afterwards. On CQL the name is part of a keyspace's name.
    pub name: String,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self { name: "local".into() }
    }
}

/// The keys. Those without a setting are in the data directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct KeysConfig {
    /// The pseudonym key, 32 bytes. Default: `keys/pseudonym.key` in the data directory. Elsewhere, a stolen data
    /// directory or backup [does not have it](privacy.md#a-stolen-disk). As a systemd credential:
    /// `LoadCredential=pseudonym.key:/path` and `Environment=YIMA_KEYS__PSEUDONYM_FILE=%d/pseudonym.key`. Such a key is
    /// not created by yima, and not in its backups: to move an existing key, move its file.
    pub pseudonym_file: Option<PathBuf>,
    /// A PKCS #11 token for issuers' keys.
    pub pkcs11: Option<Pkcs11Config>,
}

/// The embedded store. The CQL store has [a section of its own](#storecql).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct StoreConfig {
    /// Memory for blocks read from disk. Memtables take up to about 100 MiB besides.
    pub cache_bytes: u64,
    /// How long changes are kept for followers that are behind. A follower further behind loads everything again.
    #[serde(rename = "changes_retention_s", with = "config::S")]
    pub changes_retention: Duration,
    /// With less free space on the data directory's disk no events are accepted; 0 disables this. The default is above
    /// the needs of the journal (256 MiB), the memtables and a compaction, since a write that fails [stops the
    /// store](operations/faults.md#disk-full-failing-disk).
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

/// The rules that give a colour.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct RulesConfig {
    /// A rules document. Default: the built-in one (`schema/rules/default.toml`). [What changes
    /// when](data-model.md#rules).
    pub file: Option<PathBuf>,
    /// What the pages tell citizens about each reason, for read services: [guidance](data-model.md#guidance). Default:
    /// the built-in document (`schema/rules/guidance.toml`).
    pub guidance_file: Option<PathBuf>,
}

impl Config {
    /// Reads `file`, then the environment, over the defaults of the role.
    ///
    /// # Errors
    /// The errors of all sections together.
    pub fn load(file: Option<&Path>, role: Role) -> Result<Self, CommandError> {
        Self::load_with(file, role, std::env::vars())
    }

    /// The settings of the auditor, `yima audit`. Its admin port is one of its own, so that it can run beside a read
    /// service and a writer.
    ///
    /// # Errors
    /// The errors of all sections together.
    pub fn load_for_auditor(file: Option<&Path>) -> Result<Self, CommandError> {
        let mut defaults = Self::default();
        defaults.admin.listen.set_port(9092);
        defaults.lifecycle.drain_wait = Duration::ZERO;
        let check = |config: &Self, checks: &mut Checks<'_>| {
            config.store.cql.check(checks);
            config.audit.check(checks);
        };
        Ok(config::load_checked(&as_toml(&defaults), file, std::env::vars(), check)?)
    }

    /// The settings of a command that asks running nodes.
    ///
    /// # Errors
    /// The errors of all sections together.
    pub fn load_for_status(file: Option<&Path>) -> Result<Self, CommandError> {
        Ok(config::load_checked(&as_toml(&Self::default()), file, std::env::vars(), |_, _| ())?)
    }

    fn load_with(
        file: Option<&Path>,
        role: Role,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, CommandError> {
        let check = |config: &Self, checks: &mut Checks<'_>| {
            config.identity_provider.check(checks);
            config.store.cql.check(checks);
            config.offline.check(checks);
            for (is_there, key, url) in [
                (role.reads(), "read_api.public_url", &config.read_api.public_url),
                (role.writes(), "writer.public_url", &config.writer.public_url),
            ] {
                let Some(url) = url.as_ref().filter(|_| is_there) else { continue };
                let client_id = "identity_provider.client_id";
                checks.expect(is_origin(url), key, &[], "expected an address such as https://code.city.example");
                let has_client = config.identity_provider.client_id.is_some();
                checks.expect(has_client, key, &[client_id], format!("expected with {client_id} only"));
            }
            if role.reads() {
                config.read_api.check(checks);
                config.read_api.http.check(|setting| format!("read_api.http.{setting}"), checks);
            }
            if role.writes() {
                config.writer.http.check(|setting| format!("writer.http.{setting}"), checks);
            }
        };
        Ok(config::load_checked(&as_toml(&role.defaults()), file, env, check)?)
    }

    /// Most connections of the public ports of that role.
    pub fn connections(&self, role: Role) -> u64 {
        let ports = [(role.reads(), &self.read_api.http), (role.writes(), &self.writer.http)];
        ports.iter().filter(|(is_there, _)| *is_there).map(|(_, http)| http.max_connections.get() as u64).sum()
    }

    /// Whether real data is to be expected: another identity provider than the demo's issues the tokens.
    pub fn is_real(&self) -> bool {
        self.identity_provider.is_real()
    }

    /// Whether a public port with that setting of `api_docs` describes its API.
    pub fn describes(&self, api_docs: Option<bool>) -> bool {
        api_docs.unwrap_or(!self.is_real())
    }

    /// The settings of the read service, with defaults that depend on other sections.
    pub fn read_api(&self) -> ReadApiConfig {
        let demo = (!self.is_real()).then_some(DEMO_REFRESH_AFTER_S);
        ReadApiConfig { refresh_after_s: self.read_api.refresh_after_s.or(demo), ..self.read_api.clone() }
    }

    /// The keys of a data directory.
    pub fn keys(&self, data_dir: &Path) -> KeyDir {
        let directory = KeyDir::of(data_dir).with_pseudonym_file(self.keys.pseudonym_file.clone());
        directory.with_token(self.keys.pkcs11.clone())
    }

    /// How the CQL store is opened, but for the pseudonym key's fingerprint.
    ///
    /// # Errors
    /// The files of `store.cql.tls` cannot be used.
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

    /// Reads the guidance.
    ///
    /// # Errors
    /// The file cannot be read, or see [`Guidance::parse`].
    pub fn guidance(&self) -> Result<Guidance, CommandError> {
        let Some(path) = &self.rules.guidance_file else { return Ok(Guidance::built_in()) };
        let text = std::fs::read_to_string(path).map_err(|e| CommandError::file(path, &e))?;
        Ok(Guidance::parse(&text)?)
    }
}

/// Whether pages can be below it: an address without path and query, over TLS or on this machine.
fn is_origin(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, host)| host.trim_end_matches('/'));
    is_secure(url) && !host.contains(['/', '?'])
}

fn as_toml(defaults: &Config) -> String {
    toml::to_string(defaults).expect("settings are tables, texts, numbers and lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(role: Role, env: &[(&str, &str)]) -> Result<Config, CommandError> {
        Config::load_with(None, role, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn without_settings_a_role_has_its_defaults() {
        for role in [Role::Everything, Role::ReadApi, Role::Writer] {
            let serialised = toml::to_string(&role.defaults()).unwrap();
            assert!(!serialised.contains("redacted"), "a secret's default would be lost: {serialised}");
            assert_eq!(format!("{:?}", load(role, &[]).unwrap()), format!("{:?}", role.defaults()));
        }
    }

    #[test]
    fn a_section_given_in_part_keeps_its_own_defaults() {
        let env = [("YIMA_READ_API__LIMITS__CODE__REQUESTS", "5"), ("YIMA_LIFECYCLE__STOP_DEADLINE_MS", "1")];
        let config = load(Role::Everything, &env).unwrap();
        assert_eq!(config.read_api.limits.code.window, Duration::from_secs(60));
        assert_eq!(config.lifecycle.drain_wait, Duration::ZERO);
    }

    #[test]
    fn every_port_takes_an_ipv6_address() {
        let variables = ["YIMA_READ_API__BIND", "YIMA_WRITER__BIND", "YIMA_ADMIN__LISTEN"];
        let config = load(Role::Everything, &variables.map(|variable| (variable, "[::]:8443"))).unwrap();
        for address in [config.read_api.bind, config.writer.bind, config.admin.listen] {
            assert!(address.is_ipv6() && address.ip().is_unspecified() && address.port() == 8443);
        }
        assert_eq!(config.connections(Role::Everything), 2 * config.connections(Role::Writer));
    }

    #[test]
    fn real_data_has_three_replicas_unless_set_otherwise() {
        let replicas = |env: &[(&str, &str)]| load(Role::Writer, env).unwrap().cql().unwrap().min_replicas;
        let real = ("YIMA_IDENTITY_PROVIDER__KEYS_FILE", "jwks.json");
        assert_eq!(replicas(&[]), 1);
        assert_eq!(replicas(&[real]), 3);
        assert_eq!(replicas(&[real, ("YIMA_STORE__CQL__MIN_REPLICAS", "2")]), 2);
    }

    #[test]
    fn pages_poll_each_second_in_the_demo_alone_unless_set_otherwise() {
        let pace = |env: &[(&str, &str)]| load(Role::ReadApi, env).unwrap().read_api().refresh_after_s;
        let (real, set) = (("YIMA_IDENTITY_PROVIDER__KEYS_FILE", "jwks.json"), ("YIMA_READ_API__REFRESH_AFTER_S", "7"));
        assert_eq!([pace(&[]), pace(&[real]), pace(&[set]), pace(&[real, set])], [Some(1), None, Some(7), Some(7)]);
        for wrong in ["0", "3601"] {
            assert!(load(Role::ReadApi, &[("YIMA_READ_API__REFRESH_AFTER_S", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_of_all_sections_are_reported_together_with_key_and_source() {
        let env = [
            ("YIMA_READ_API__BINT", "0.0.0.0:80"),
            ("YIMA_READ_API__CACHE__MEMORY_BYTES", "1"),
            ("YIMA_READ_API__CACHE__MAX_STALE_S", "1"),
            ("YIMA_READ_API__CACHE__QUEUED_LOADS", "2000000"),
            ("YIMA_STORE__CQL__BEAT_EVERY_MS", "5000"),
            ("YIMA_STORE__CQL__LEASE_MS", "5"),
            ("YIMA_STORE__CQL__PASSWORD", "hunter2"),
            ("YIMA_STORE__CQL__TLS__CA_FILE", "ca.pem"),
            ("YIMA_STORE__CQL__TLS__KEY_FILE", "key.pem"),
            ("YIMA_WRITER__BIND", "everywhere"),
        ];
        let CommandError::Config(errors) = load(Role::Everything, &env).unwrap_err() else { panic!("settings") };
        let found: Vec<_> = errors.0.iter().map(|error| (error.key.as_str(), error.source.as_str())).collect();
        for wanted in [
            ("read_api.bint", "YIMA_READ_API__BINT"),
            ("writer.bind", "YIMA_WRITER__BIND"),
            ("store.cql.lease_ms", "YIMA_STORE__CQL__LEASE_MS"),
            ("store.cql.dead_after_ms", "YIMA_STORE__CQL__BEAT_EVERY_MS"),
            ("store.cql.user", "YIMA_STORE__CQL__PASSWORD"),
            ("store.cql.tls.cert_file", "YIMA_STORE__CQL__TLS__KEY_FILE"),
            ("read_api.cache.memory_bytes", "YIMA_READ_API__CACHE__MEMORY_BYTES"),
            ("read_api.cache.max_stale_s", "YIMA_READ_API__CACHE__MAX_STALE_S"),
            ("read_api.cache.queued_loads", "YIMA_READ_API__CACHE__QUEUED_LOADS"),
        ] {
            assert!(found.contains(&wanted), "{wanted:?} is not in {errors}");
        }
        // Not retention_s, which is compared with the lease that is in error itself.
        assert_eq!(found.len(), 9, "{errors}");
        assert!(!errors.to_string().contains("hunter"), "{errors}");
    }

    #[test]
    fn the_cache_is_checked_only_where_it_is_used() {
        let small = ("YIMA_READ_API__CACHE__MEMORY_BYTES", "1");
        assert!(load(Role::ReadApi, &[small]).is_err());
        assert!(load(Role::Writer, &[small]).is_ok(), "a writer has no cache");
        let tuned = [small, ("YIMA_READ_API__CACHE__TUNING_FILE", "tuning.toml")];
        assert!(load(Role::ReadApi, &tuned).is_err(), "a key that leaves the tuning file has this value");
    }

    #[test]
    fn settings_of_offline_bundles_that_contradict_each_other_are_named() {
        for (variable, value, key) in [
            ("YIMA_OFFLINE__RELEASE_PERIOD_S", "0", "release_period_s"),
            ("YIMA_OFFLINE__RELEASE_PERIOD_S", "901", "release_period_s"),
            ("YIMA_OFFLINE__WARN_S", "43201", "grace_s"),
            ("YIMA_OFFLINE__GRACE_S", "86401", "stop_s"),
            ("YIMA_OFFLINE__STOP_S", "259201", "stop_s"),
            ("YIMA_OFFLINE__MAX_LAG_S", "3601", "max_lag_s"),
            ("YIMA_OFFLINE__ISSUED_NOT_BEFORE", "yesterday", "issued_not_before"),
        ] {
            let errors = load(Role::Writer, &[(variable, value)]).unwrap_err().to_string();
            assert!(errors.contains(&format!("offline.{key}: ")), "{variable}: {errors}");
        }
        assert!(load(Role::Writer, &[("YIMA_OFFLINE__ISSUED_NOT_BEFORE", "2026-11-30T00:00:00Z")]).is_ok());
    }

    #[test]
    fn settings_of_cql_that_contradict_each_other_are_named() {
        let errors = |env: &[(&str, &str)]| load(Role::Writer, env).unwrap_err().to_string();
        let forgetful = errors(&[("YIMA_STORE__CQL__RETENTION_S", "39")]);
        assert!(forgetful.contains("\n  store.cql.retention_s: "), "{forgetful}");
        let alone = errors(&[("YIMA_STORE__CQL__PASSWORD", "hunter2")]);
        assert!(alone.contains("store.cql.user: expected with store.cql.password (from YIMA_STORE"), "{alone}");
    }
}
