//! Tuning: cache settings that can be changed while the process runs. They are in a file of their own, which overrides
//! `read_api.cache` and is watched; a file with an error changes nothing, as a whole.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::Gauge;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use yima_service::config::{self, ConfigError, ConfigErrors};
use yima_service::watched_file::{self, Fingerprint, WatchedFiles};

use super::ViewCache;
use crate::config::CacheConfig;

/// The setting that names the tuning file.
const TUNING_FILE: &str = "read_api.cache.tuning_file";

/// A whole number within bounds, which belong to its type so that a number outside of them is reported with all other
/// errors of the file.
#[derive(Clone, Copy, Debug)]
struct Within<const MIN: u64, const MAX: u64>(u64);

type TierBytes = Within<{ 1 << 20 }, { u64::MAX }>;
type Positive = Within<1, { u64::MAX }>;
type ConcurrentLoads = Within<1, 10_000>;
type QueuedLoads = Within<0, 1_000_000>;

impl<const MIN: u64, const MAX: u64> Within<MIN, MAX> {
    fn new(n: u64) -> Result<Self, String> {
        match (MIN, MAX) {
            _ if (MIN..=MAX).contains(&n) => Ok(Self(n)),
            (_, u64::MAX) => Err(format!("expected at least {MIN}")),
            (0, _) => Err(format!("expected at most {MAX}")),
            _ => Err(format!("expected {MIN} to {MAX}")),
        }
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// The tuning file. Keys that it does not have keep their value of `read_api.cache`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TuningFile {
    view: ViewTuning,
    negative: NegativeTuning,
    loads: LoadTuning,
    audit: AuditTuning,
}

/// Section `[view]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ViewTuning {
    memory_bytes: Option<TierBytes>,
    disk_bytes: Option<u64>,
    max_lag_ms: Option<Positive>,
    max_stale_s: Option<u64>,
}

/// Section `[negative]`: negative entries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NegativeTuning {
    memory_bytes: Option<TierBytes>,
}

/// Section `[loads]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LoadTuning {
    concurrent: Option<ConcurrentLoads>,
    queued: Option<QueuedLoads>,
    timeout_ms: Option<Positive>,
}

/// Section `[audit]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AuditTuning {
    per_s: Option<u32>,
}

/// Cache settings that cannot be used: all errors together, each with its key in `read_api.cache` or in the tuning
/// file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TuningError(Vec<String>);

impl fmt::Display for TuningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
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
    /// Reads the settings at the start; waits for the file system.
    ///
    /// # Errors
    /// Values of `base`, or a tuning file, that cannot be used.
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

    /// Applies the tuning file to the cache whenever it changes, for ever.
    pub(crate) async fn watch(self: Arc<Self>, views: Arc<ViewCache>) {
        let Some((paths, fingerprint)) = self.watched.clone() else { return };
        let mut file = WatchedFiles::new(paths, fingerprint);
        loop {
            if file.poll().await.is_some() {
                file.accept();
                let base = self.base.clone();
                // Reads the file once more. A change since this poll is seen by the next one.
                match tokio::task::spawn_blocking(move || read(&base)).await {
                    Ok(read) => self.apply(read, &views),
                    Err(_) => return, // the runtime shuts down
                }
            }
        }
    }

    fn apply(&self, read: Result<Active, TuningError>, views: &ViewCache) {
        match read {
            Ok(active) => {
                views.tune(&active.config);
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
    let mut errors = Vec::new();
    let file = match &base.tuning_file {
        Some(path) => config::load::<TuningFile>("", Some(path), []),
        None => Ok(TuningFile::default()),
    };
    let file = file.unwrap_or_else(|ConfigErrors(in_file)| {
        for ConfigError { key, source, expected } in in_file {
            let key = if key.is_empty() { key } else { format!("{key}: ") };
            errors.push(format!("{TUNING_FILE}: {key}{expected} (from {source})"));
        }
        TuningFile::default()
    });
    let TuningFile { view, negative, loads, audit } = &file;
    let config = CacheConfig {
        memory_bytes: set(view.memory_bytes, "memory_bytes", base.memory_bytes, &mut errors),
        absent_bytes: set(negative.memory_bytes, "absent_bytes", base.absent_bytes, &mut errors),
        disk_bytes: view.disk_bytes.unwrap_or(base.disk_bytes),
        max_lag: set_ms(view.max_lag_ms, "max_lag_ms", base.max_lag, &mut errors),
        max_stale: view.max_stale_s.map_or(base.max_stale, Duration::from_secs),
        concurrent_loads: set(loads.concurrent, "concurrent_loads", base.concurrent_loads, &mut errors),
        queued_loads: set(loads.queued, "queued_loads", base.queued_loads, &mut errors),
        load_timeout: set_ms(loads.timeout_ms, "load_timeout_ms", base.load_timeout, &mut errors),
        audit_per_s: audit.per_s.unwrap_or(base.audit_per_s),
        ..base.clone()
    };
    if config.max_stale < config.max_lag {
        errors.push(match (view.max_stale_s, view.max_lag_ms) {
            (Some(_), _) => format!("{TUNING_FILE}: view.max_stale_s: expected no less than max_lag_ms"),
            (None, Some(_)) => format!("{TUNING_FILE}: view.max_lag_ms: expected no more than max_stale_s"),
            (None, None) => "read_api.cache.max_stale_s: expected no less than max_lag_ms".to_owned(),
        });
    }
    if errors.is_empty() { Ok(Active { file, config }) } else { Err(TuningError(errors)) }
}

/// The tuning file's number, which is within its bounds, or else that of `read_api.cache`, which may not be.
fn set<const MIN: u64, const MAX: u64>(
    in_file: Option<Within<MIN, MAX>>,
    key: &str,
    base: usize,
    errors: &mut Vec<String>,
) -> usize {
    let number = in_file.map_or_else(|| Within::<MIN, MAX>::new(base as u64), Ok);
    match number {
        Ok(Within(number)) => usize::try_from(number).unwrap_or(usize::MAX),
        Err(expected) => {
            errors.push(format!("read_api.cache.{key}: {expected}"));
            base
        }
    }
}

/// The same for milliseconds.
fn set_ms(in_file: Option<Positive>, key: &str, base: Duration, errors: &mut Vec<String>) -> Duration {
    match in_file {
        Some(Within(ms)) => Duration::from_millis(ms),
        None => {
            if base.is_zero() {
                errors.push(format!("read_api.cache.{key}: expected at least 1"));
            }
            base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_over(base: CacheConfig, text: &str) -> Result<Active, TuningError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&CacheConfig { tuning_file: Some(file.path().to_path_buf()), ..base })
    }

    fn errors_of(base: CacheConfig, text: &str) -> Vec<String> {
        read_over(base, text).err().unwrap().0
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
            ("[view]\nmax_lag_ms = 2000\nmax_stale_s = 1\n", "view.max_stale_s: expected no less than max_lag_ms"),
            ("[view]\nmax_lag_ms = 100000000\n", "view.max_lag_ms: expected no more than max_stale_s"),
            ("[loads]\nconcurrent = 0\n", "loads.concurrent: expected 1 to 10000"),
            ("[loads]\nqueued = 1000001\n", "loads.queued: expected at most 1000000"),
            ("[view\n", "expected TOML"),
        ] {
            let errors = errors_of(CacheConfig::default(), text);
            let found = &errors[0];
            assert!(errors.len() == 1 && found.starts_with(&format!("{TUNING_FILE}: {expected}")), "{errors:?}");
        }
    }

    #[test]
    fn all_errors_of_the_file_are_reported_together() {
        let text = "[view]\nmemory_bytes = 1\nmax_lag_ms = 0\ncolour = 1\n[loads]\nconcurrent = \"x\"\n[moon]\n";
        let errors = errors_of(CacheConfig::default(), text);
        for key in ["view.memory_bytes", "view.max_lag_ms", "view.colour", "loads.concurrent", "moon"] {
            assert!(errors.iter().any(|error| error.starts_with(&format!("{TUNING_FILE}: {key}: "))), "{errors:?}");
        }
        assert_eq!(errors.len(), 5, "{errors:?}");
    }

    #[test]
    fn errors_of_the_base_settings_are_reported_under_their_own_keys() {
        let base = || CacheConfig { memory_bytes: 1, queued_loads: 2_000_000, ..CacheConfig::default() };
        let expected = [
            "read_api.cache.memory_bytes: expected at least 1048576",
            "read_api.cache.queued_loads: expected at most 1000000",
        ];
        assert_eq!(read(&base()).err().unwrap().0, expected);
        let errors = errors_of(base(), "[loads]\nconcurrent = 0\n");
        assert!(errors[0].starts_with(&format!("{TUNING_FILE}: loads.concurrent: ")), "{errors:?}");
        assert_eq!(errors[1..], expected);
        let base = CacheConfig { max_stale: Duration::from_secs(1), ..CacheConfig::default() };
        assert_eq!(read(&base).err().unwrap().0, ["read_api.cache.max_stale_s: expected no less than max_lag_ms"]);
    }
}
