//! Tuning: cache settings that can be changed while the process runs. They are in a file of their own, which overrides
//! `read_api.cache` and is watched; a file with an error changes nothing, as a whole.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::Gauge;
use serde::Deserialize;
use serde_json::{Value, json};
use yima_service::config::{self, Checks, ConfigErrors};
use yima_service::watched_file::{self, Fingerprint, WatchedFiles};

use crate::config::CacheConfig;

/// The setting that names the tuning file.
const TUNING_FILE: &str = "read_api.cache.tuning_file";

/// The tuning file. Keys that it does not have keep their value of `read_api.cache`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TuningFile {
    view: ViewTuning,
    negative: MemoryTuning,
    code: MemoryTuning,
    session: MemoryTuning,
    loads: LoadTuning,
    audit: AuditTuning,
}

/// Section `[view]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ViewTuning {
    memory_bytes: Option<usize>,
    disk_bytes: Option<u64>,
    max_lag_ms: Option<u64>,
    max_stale_s: Option<u64>,
}

/// Sections `[negative]`, `[code]` and `[session]`: negative entries, signed tokens, opened sessions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryTuning {
    memory_bytes: Option<usize>,
}

/// Section `[loads]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LoadTuning {
    concurrent: Option<usize>,
    queued: Option<usize>,
    timeout_ms: Option<u64>,
}

/// Section `[audit]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditTuning {
    per_s: Option<u32>,
}

impl TuningFile {
    /// Lays the file over `base`.
    fn over(&self, base: &CacheConfig) -> CacheConfig {
        let Self { view, negative, code, session, loads, audit } = self;
        CacheConfig {
            memory_bytes: view.memory_bytes.unwrap_or(base.memory_bytes),
            absent_bytes: negative.memory_bytes.unwrap_or(base.absent_bytes),
            code_bytes: code.memory_bytes.unwrap_or(base.code_bytes),
            session_bytes: session.memory_bytes.unwrap_or(base.session_bytes),
            disk_bytes: view.disk_bytes.unwrap_or(base.disk_bytes),
            max_lag: view.max_lag_ms.map_or(base.max_lag, Duration::from_millis),
            max_stale: view.max_stale_s.map_or(base.max_stale, Duration::from_secs),
            concurrent_loads: loads.concurrent.unwrap_or(base.concurrent_loads),
            queued_loads: loads.queued.unwrap_or(base.queued_loads),
            load_timeout: loads.timeout_ms.map_or(base.load_timeout, Duration::from_millis),
            audit_per_s: audit.per_s.unwrap_or(base.audit_per_s),
            ..base.clone()
        }
    }

    /// The file's name for a key of `read_api.cache` that [`CacheConfig::check`] reports.
    fn key(setting: &str) -> String {
        match setting {
            "memory_bytes" | "max_lag_ms" | "max_stale_s" => format!("view.{setting}"),
            "absent_bytes" => "negative.memory_bytes".to_owned(),
            "concurrent_loads" => "loads.concurrent".to_owned(),
            "queued_loads" => "loads.queued".to_owned(),
            "load_timeout_ms" => "loads.timeout_ms".to_owned(),
            // Not in the file, so checked with the settings at the start.
            _ => setting.to_owned(),
        }
    }
}

/// A tuning file that cannot be used: all its errors together, each with its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TuningError(ConfigErrors);

impl fmt::Display for TuningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigErrors(errors) = &self.0;
        let lines: Vec<_> = errors.iter().map(|error| format!("{TUNING_FILE}: {error}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for TuningError {}

/// The cache settings in force: `read_api.cache`, and the tuning file over it.
pub struct CacheSettings {
    base: CacheConfig,
    /// The tuning file as it was at the start.
    watched: Option<([PathBuf; 1], Fingerprint<1>)>,
    active: ArcSwap<Active>,
    accepted: Gauge,
}

struct Active {
    file: TuningFile,
    config: CacheConfig,
}

impl CacheSettings {
    /// Reads the settings at the start; waits for the file system. `base` has been [checked](CacheConfig::check).
    ///
    /// # Errors
    /// A tuning file that cannot be used.
    pub fn load(base: &CacheConfig) -> Result<Arc<Self>, TuningError> {
        let watched = base.tuning_file.clone().map(|path| {
            let paths = [path];
            let fingerprint = Fingerprint::new(&watched_file::read(&paths));
            (paths, fingerprint)
        });
        let active = read(base)?;
        let accepted = metrics::gauge!("cache_tuning_file_accepted");
        accepted.set(1.0);
        Ok(Arc::new(Self { base: base.clone(), watched, active: ArcSwap::from_pointee(active), accepted }))
    }

    /// The settings in force.
    pub fn config(&self) -> CacheConfig {
        self.active.load().config.clone()
    }

    /// Gives the settings to `tune` whenever the tuning file changes, for ever.
    pub(crate) async fn watch(self: Arc<Self>, tune: impl Fn(&CacheConfig)) {
        let Some((paths, fingerprint)) = self.watched.clone() else { return };
        let mut file = WatchedFiles::new(paths, fingerprint);
        loop {
            if file.poll().await.is_some() {
                file.accept();
                let base = self.base.clone();
                // Reads the file once more. A change since this poll is seen by the next one.
                match tokio::task::spawn_blocking(move || read(&base)).await {
                    Ok(read) => self.apply(read, &tune),
                    Err(_) => return, // the runtime shuts down
                }
            }
        }
    }

    fn apply(&self, read: Result<Active, TuningError>, tune: impl Fn(&CacheConfig)) {
        match read {
            Ok(active) => {
                tune(&active.config);
                self.active.store(Arc::new(active));
                self.accepted.set(1.0);
                tracing::info!("the tuning file has changed; its cache settings are in force");
            }
            Err(error) => {
                self.accepted.set(0.0);
                tracing::error!(%error, "the tuning file is refused; the previous cache settings stay in force");
            }
        }
    }

    /// The settings in force by section of the tuning file, each with its source: `file` or `settings`.
    pub fn report(&self) -> Value {
        let active = self.active.load();
        let (file, config) = (&active.file, &active.config);
        let setting = |value: Value, is_in_file: bool| {
            let source = if is_in_file { "file" } else { "settings" };
            json!({ "value": value, "source": source })
        };
        json!({
            "file": self.base.tuning_file.as_ref().map(|path| path.display().to_string()),
            "view": {
                "memory_bytes": setting(json!(config.memory_bytes), file.view.memory_bytes.is_some()),
                "disk_bytes": setting(json!(config.disk_bytes), file.view.disk_bytes.is_some()),
                "max_lag_ms": setting(json!(config.max_lag.as_millis() as u64), file.view.max_lag_ms.is_some()),
                "max_stale_s": setting(json!(config.max_stale.as_secs()), file.view.max_stale_s.is_some()),
            },
            "negative": { "memory_bytes": setting(json!(config.absent_bytes), file.negative.memory_bytes.is_some()) },
            "code": { "memory_bytes": setting(json!(config.code_bytes), file.code.memory_bytes.is_some()) },
            "session": { "memory_bytes": setting(json!(config.session_bytes), file.session.memory_bytes.is_some()) },
            "loads": {
                "concurrent": setting(json!(config.concurrent_loads), file.loads.concurrent.is_some()),
                "queued": setting(json!(config.queued_loads), file.loads.queued.is_some()),
                "timeout_ms": setting(json!(config.load_timeout.as_millis() as u64), file.loads.timeout_ms.is_some()),
            },
            "audit": { "per_s": setting(json!(config.audit_per_s), file.audit.per_s.is_some()) },
        })
    }
}

/// Reads the tuning file, if there is one, and lays it over `base`.
fn read(base: &CacheConfig) -> Result<Active, TuningError> {
    let path = base.tuning_file.as_deref();
    let check = |file: &TuningFile, checks: &mut Checks<'_>| file.over(base).check(TuningFile::key, checks);
    let file = config::load_checked::<TuningFile>("", path, [], check).map_err(TuningError)?;
    Ok(Active { config: file.over(base), file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_over(base: CacheConfig, text: &str) -> Result<Active, TuningError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&CacheConfig { tuning_file: Some(file.path().to_path_buf()), ..base })
    }

    fn errors_of(text: &str) -> Vec<String> {
        read_over(CacheConfig::default(), text).err().unwrap().to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_tuning_file_overrides_the_settings() {
        let active = read_over(CacheConfig::default(), "[view]\nmax_stale_s = 60\n[loads]\nconcurrent = 5\n");
        let active = active.ok().unwrap();
        assert_eq!((active.config.max_stale, active.config.concurrent_loads), (Duration::from_secs(60), 5));
        assert_eq!(active.config.memory_bytes, CacheConfig::default().memory_bytes);
    }

    #[test]
    fn an_error_is_reported_with_its_key_in_the_file() {
        for (text, expected) in [
            ("[view]\nmax_stale = 60\n", "view.max_stale: expected a known field"),
            ("[view]\nmemory_bytes = \"much\"\n", "view.memory_bytes: expected a whole number"),
            ("[view]\nmemory_bytes = 1\n", "view.memory_bytes: expected at least 1048576 (from /"),
            ("[view]\nmax_lag_ms = 2000\nmax_stale_s = 1\n", "view.max_stale_s: expected no less than view.max_lag_ms"),
            ("[view]\nmax_lag_ms = 100000000\n", "view.max_stale_s: expected no less than view.max_lag_ms"),
            ("[loads]\nconcurrent = 0\n", "loads.concurrent: expected 1 to 10000"),
            ("[loads]\nqueued = 1000001\n", "loads.queued: expected at most 1000000"),
            ("[view\n", "expected TOML"),
        ] {
            let errors = errors_of(text);
            let found = &errors[0];
            assert!(errors.len() == 1 && found.starts_with(&format!("{TUNING_FILE}: {expected}")), "{errors:?}");
        }
    }

    #[test]
    fn all_errors_of_the_file_are_reported_together() {
        let text = "[view]\nmemory_bytes = 1\nmax_lag_ms = 0\ncolour = 1\n[loads]\nconcurrent = \"x\"\n[moon]\n";
        let errors = errors_of(text);
        for key in ["view.memory_bytes", "view.max_lag_ms", "view.colour", "loads.concurrent", "moon"] {
            assert!(errors.iter().any(|error| error.starts_with(&format!("{TUNING_FILE}: {key}: "))), "{errors:?}");
        }
        assert_eq!(errors.len(), 5, "{errors:?}");
    }
}
