//! `yima doctor`: whether this machine could serve, before it does. It runs beside nothing and changes nothing.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;
use tempfile::NamedTempFile;
use yima_read_api::{CacheSettings, ForeignFiles};
use yima_service::clock::now;
use yima_service::http::{Tls, TlsConfig};
use yima_service::open_files;
use yima_store::cql::{CqlOptions, CqlStore};
use yima_writer::OperatorFiles;

use crate::cli::{Engine, Options};
use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::KeyKind;
use crate::status::Nodes;

/// How far this machine's clock may be from the database's, in milliseconds, before it is worth a warning.
const CLOCK_BOUND_MS: u64 = 1_000;
/// A certificate that ends sooner is worth a warning.
const CERTIFICATE_DAYS: i64 = 14;

/// What the checks found, a line each.
struct Report<W> {
    out: W,
    worst: u8,
}

/// Runs every check; returns 0, 1 if something should be looked at, 2 if the service would not start or not work.
///
/// # Errors
/// The runtime; standard output.
pub fn run(options: &Options, role: Role) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let mut report = Report { out: std::io::stdout().lock(), worst: 0 };
    if let Some(config) = report.settings(options, role)? {
        runtime.block_on(report.check_all(&config, options, role))?;
    }
    Ok(report.worst)
}

impl<W: Write> Report<W> {
    fn line(&mut self, severity: u8, what: &str, found: &str) -> Result<(), CommandError> {
        self.worst = self.worst.max(severity);
        let word = ["ok", "warning", "FAILS"][usize::from(severity)];
        writeln!(self.out, "{word:<8} {what:<12} {found}").map_err(CommandError::Output)
    }

    /// An error as a failed check; what was found otherwise.
    fn judge<T>(
        &mut self,
        what: &str,
        found: Result<T, impl ToString>,
        good: impl FnOnce(&T) -> String,
    ) -> Result<Option<T>, CommandError> {
        match found {
            Ok(found) => self.line(0, what, &good(&found)).map(|()| Some(found)),
            Err(error) => self.line(2, what, &error.to_string()).map(|()| None),
        }
    }

    fn settings(&mut self, options: &Options, role: Role) -> Result<Option<Config>, CommandError> {
        let config = Config::load(options.config.as_deref(), role);
        self.judge("settings", config, |config| format!("valid, region {}", config.region.name))
    }

    async fn check_all(&mut self, config: &Config, options: &Options, role: Role) -> Result<(), CommandError> {
        if !config.is_real() {
            let demo = "identity_provider.keys_file is not set: this is the demo, which gives tokens to anyone";
            self.line(1, "identities", demo)?;
        }
        self.files(config, role)?;
        self.data_dir(&options.data_dir, config)?;
        let keys = config.keys(&options.data_dir);
        let pseudonyms = self.judge("keys", keys.pseudonyms(), |_| "the pseudonym key can be read".to_owned())?;
        if role.reads() {
            let sessions = keys.for_sessions(&config.read_api, now());
            self.judge("keys", sessions, |_| "the keys of sessions can be read".to_owned())?;
        }
        for (setting, address) in ports(config, role) {
            let bound = TcpListener::bind(address).map_err(|error| format!("{setting} {address}: {error}"));
            self.judge("port", bound, |_| format!("{setting} {address} is free"))?;
        }
        for (section, tls) in [("read_api", &config.read_api.tls), ("writer", &config.writer.tls)] {
            if let Some(tls) = tls {
                self.certificate(section, tls)?;
            }
        }
        self.open_files(config.connections(role))?;
        if (role != Role::Everything || matches!(options.store, Some(Engine::Cql)))
            && let Some(pseudonyms) = pseudonyms
            && let Some(settings) = self.judge("database", config.cql(), |_| "its settings are valid".to_owned())?
        {
            let settings = CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..settings };
            self.database(settings).await?;
        }
        let own =
            if role.reads() { keys.active_numbers(&config.read_api, now()).unwrap_or_default() } else { Vec::new() };
        self.other_nodes(config, &own).await
    }

    /// Files of the operator, each of which refuses a start if it is invalid.
    fn files(&mut self, config: &Config, role: Role) -> Result<(), CommandError> {
        let good = |what: &str| format!("{what} can be used");
        self.judge("rules", config.rules(), |_| good("the rules"))?;
        self.judge("rules", config.guidance(), |_| good("the guidance"))?;
        if role.reads() {
            self.judge("files", CacheSettings::load(&config.read_api.cache), |_| good("the cache's settings"))?;
            self.judge("files", ForeignFiles::load(&config.read_api.foreign), |_| good("foreign codes' files"))?;
        }
        if role.writes() {
            self.judge("files", OperatorFiles::load(&config.writer), |_| good("registry and codes"))?;
        }
        if let Some(path) = &config.identity_provider.keys_file {
            let keys = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()));
            self.judge("identities", keys, |_| good("the identity provider's keys"))?;
        }
        Ok(())
    }

    fn data_dir(&mut self, path: &Path, config: &Config) -> Result<(), CommandError> {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let Some(metadata) =
            self.judge("data", fs::metadata(path).map_err(named), |_| format!("{}", path.display()))?
        else {
            return Ok(());
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            self.line(1, "data", "others than the owner may read the data directory: chmod 700")?;
        }
        self.judge("data", NamedTempFile::new_in(path).map_err(named), |_| "it can be written".to_owned())?;
        let space = statvfs(path).map_err(|error| named(error.into()));
        let Some(space) = self.judge("disk", space, |space| format!("{} MB are free", free(space) >> 20))? else {
            return Ok(());
        };
        if free(&space) < config.store.min_free_bytes {
            self.line(2, "disk", "less than store.min_free_bytes is free: no events would be accepted")?;
        }
        Ok(())
    }

    fn certificate(&mut self, section: &str, tls: &TlsConfig) -> Result<(), CommandError> {
        let loaded = Tls::load("doctor", tls).map_err(|error| format!("{section}.tls.{error}"));
        let days = |tls: &Tls| (tls.valid_until().as_secs() - now().as_secs()) / 86_400;
        let loaded = self.judge("certificate", loaded, |tls| format!("{section}: valid for {} days", days(tls)))?;
        match loaded.map(|tls| days(&tls)) {
            Some(days) if days < 0 => self.line(2, "certificate", &format!("{section}: it has ended")),
            Some(days) if days < CERTIFICATE_DAYS => self.line(1, "certificate", &format!("{section}: renew it")),
            Some(_) | None => Ok(()),
        }
    }

    fn open_files(&mut self, connections: u64) -> Result<(), CommandError> {
        let wanted = open_files::wanted(connections);
        match open_files::most() {
            Some(most) if most < wanted => {
                let found = format!(
                    "{most} files may be open, {wanted} are wanted: raise LimitNOFILE, or lower \
                                     max_connections"
                );
                self.line(1, "open files", &found)
            }
            Some(most) => self.line(0, "open files", &format!("{most} may be open")),
            None => self.line(0, "open files", "without a limit"),
        }
    }

    /// Opening checks keyspaces, schema, replication and the pseudonym key.
    async fn database(&mut self, settings: CqlOptions) -> Result<(), CommandError> {
        let opened = CqlStore::open(settings).await;
        let Some(store) = self.judge("database", opened, |_| "schema, replication and pseudonym key fit".to_owned())?
        else {
            return Ok(());
        };
        let began = now();
        let clock = store.clock().await.map(|clock| {
            // What the time of the answer may explain is no offset.
            let (earliest, latest) = (began.as_millis(), now().as_millis());
            clock.as_millis().clamp(earliest, latest).abs_diff(clock.as_millis())
        });
        let clock = self.judge("clock", clock, |ms| format!("{ms} ms from the database's"))?;
        match clock {
            Some(ms) if ms > CLOCK_BOUND_MS => self.line(1, "clock", "set this machine's clock by NTP"),
            Some(_) | None => Ok(()),
        }
    }

    async fn other_nodes(&mut self, config: &Config, own_keys: &[(KeyKind, u32)]) -> Result<(), CommandError> {
        if config.admin.nodes.is_empty() {
            return self.line(
                1,
                "other nodes",
                "admin.nodes is empty: clocks and keys are compared with no other node",
            );
        }
        let own = config.admin.listen.to_string();
        let others: Vec<_> = config.admin.nodes.iter().filter(|node| **node != own).cloned().collect();
        if others.is_empty() {
            return self.line(0, "other nodes", "there are none");
        }
        let overview = Nodes::new(&config.admin, &others).overview().await;
        for (severity, found) in overview.lines() {
            self.line(severity, "other nodes", &found)?;
        }
        for (kind, own) in own_keys {
            let (own, kind) = (f64::from(*own), kind.as_str());
            if overview.keys().any(|(of, number)| of == kind && number >= 0.0 && number != own) {
                self.line(2, "keys", &format!("the active {kind} key is another one than other nodes': copy keys/"))?;
            }
        }
        Ok(())
    }
}

fn free(space: &rustix::fs::StatVfs) -> u64 {
    // Without the blocks reserved for root.
    space.f_bavail.saturating_mul(space.f_frsize)
}

/// The ports that the role binds.
fn ports(config: &Config, role: Role) -> Vec<(&'static str, SocketAddr)> {
    let mut ports = vec![("admin.listen", config.admin.listen)];
    if role.reads() {
        ports.push(("read_api.bind", config.read_api.bind));
    }
    if role.writes() {
        ports.push(("writer.bind", config.writer.bind));
    }
    ports
}
