//! What of the cache can be changed while it runs: sizes, times and limits of its modules, in a file of their own that is watched.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::Gauge;
use serde::Deserialize;
use serde_json::{Value, json};
use yima_service::config::{self, ConfigErrors};

use super::ViewCache;
use crate::config::CacheConfig;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(2);
const MIB: usize = 1 << 20;

/// The file; what it does not say is as in `read_api.cache`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    view: View,
    negative: Negative,
    loads: SingleFlight,
    audit: Audit,
}

/// Module `view`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct View {
    memory_bytes: Option<usize>,
    disk_bytes: Option<u64>,
    max_lag_ms: Option<u64>,
    max_stale_s: Option<u64>,
}

/// Module `negative`: proved absences.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Negative {
    memory_bytes: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SingleFlight {
    concurrent: Option<usize>,
    queued: Option<usize>,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Audit {
    per_s: Option<u32>,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// It cannot be read, is not TOML, or has what is no setting.
    #[error(transparent)]
    File(#[from] ConfigErrors),
    /// A value that cannot be meant.
    #[error("{key}: expected {expected}")]
    Value {
        /// Which.
        key: &'static str,
        /// What would do.
        expected: &'static str,
    },
}

/// See the module.
pub struct Modules {
    base: CacheConfig,
    active: ArcSwap<Active>,
    accepted: Gauge,
}

struct Active {
    file: File,
    config: CacheConfig,
}

impl Modules {
    /// What holds at the start.
    ///
    /// # Errors
    /// The file that `tuning_file` names is refused.
    pub fn new(base: &CacheConfig) -> Result<Arc<Self>, TuningError> {
        let active = read(base)?;
        let accepted = metrics::gauge!("cache_tuning_file_accepted");
        accepted.set(1.0);
        Ok(Arc::new(Self { base: base.clone(), active: ArcSwap::from_pointee(active), accepted }))
    }

    /// The settings in force.
    pub fn config(&self) -> CacheConfig {
        self.active.load().config.clone()
    }

    /// Looks at the file again and again. One that is refused changes nothing, as a whole.
    pub async fn watch(self: Arc<Self>, views: Arc<ViewCache>) {
        let Some(path) = &self.base.tuning_file else { return };
        let mut seen = std::fs::read(path).ok();
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let there = std::fs::read(path).ok();
            if there != seen {
                seen = there;
                self.look_again(&views);
            }
        }
    }

    fn look_again(&self, views: &ViewCache) {
        match read(&self.base) {
            Ok(active) => {
                views.tune(&active.config);
                self.active.store(Arc::new(active));
                self.accepted.set(1.0);
                tracing::info!("the settings of the cache modules have changed");
            }
            Err(refused) => {
                self.accepted.set(0.0);
                tracing::error!(%refused, "the settings of the cache modules are refused; the old ones stay");
            }
        }
    }

    /// The values in force, by module, each with its source: `file` or `settings`.
    pub fn describe(&self) -> Value {
        let active = self.active.load();
        let (file, config) = (&active.file, &active.config);
        let value = |value: Value, is_in_file: bool| json!({ "value": value, "source": if is_in_file { "file" } else { "settings" } });
        json!({
            "file": self.base.tuning_file.as_ref().map(|path| path.display().to_string()),
            "view": {
                "memory_bytes": value(json!(config.memory_bytes), file.view.memory_bytes.is_some()),
                "disk_bytes": value(json!(config.disk_bytes), file.view.disk_bytes.is_some()),
                "max_lag_ms": value(json!(config.max_lag.as_millis() as u64), file.view.max_lag_ms.is_some()),
                "max_stale_s": value(json!(config.max_stale.as_secs()), file.view.max_stale_s.is_some()),
            },
            "negative": { "memory_bytes": value(json!(config.absent_bytes), file.negative.memory_bytes.is_some()) },
            "loads": {
                "concurrent": value(json!(config.concurrent_loads), file.loads.concurrent.is_some()),
                "queued": value(json!(config.queued_loads), file.loads.queued.is_some()),
                "timeout_ms": value(json!(config.load_timeout.as_millis() as u64), file.loads.timeout_ms.is_some()),
            },
            "audit": { "per_s": value(json!(config.audit_per_s), file.audit.per_s.is_some()) },
        })
    }
}

fn read(base: &CacheConfig) -> Result<Active, TuningError> {
    let file: File = match &base.tuning_file {
        Some(path) => config::load("", Some(path), [])?,
        None => File::default(),
    };
    let mut config = base.clone();
    set(&mut config.memory_bytes, file.view.memory_bytes);
    set(&mut config.disk_bytes, file.view.disk_bytes);
    set(&mut config.max_lag, file.view.max_lag_ms.map(Duration::from_millis));
    set(&mut config.max_stale, file.view.max_stale_s.map(Duration::from_secs));
    set(&mut config.absent_bytes, file.negative.memory_bytes);
    set(&mut config.concurrent_loads, file.loads.concurrent);
    set(&mut config.queued_loads, file.loads.queued);
    set(&mut config.load_timeout, file.loads.timeout_ms.map(Duration::from_millis));
    set(&mut config.audit_per_s, file.audit.per_s);
    for (key, is_right, expected) in [
        ("view.memory_bytes", config.memory_bytes >= MIB, "at least 1048576"),
        ("view.max_lag_ms", !config.max_lag.is_zero(), "at least 1"),
        ("view.max_stale_s", config.max_stale >= config.max_lag, "no less than view.max_lag_ms"),
        ("negative.memory_bytes", config.absent_bytes >= MIB, "at least 1048576"),
        ("loads.concurrent", (1..=10_000).contains(&config.concurrent_loads), "1 to 10000"),
        ("loads.queued", config.queued_loads <= 1_000_000, "at most 1000000"),
        ("loads.timeout_ms", !config.load_timeout.is_zero(), "at least 1"),
    ] {
        if !is_right {
            return Err(TuningError::Value { key, expected });
        }
    }
    Ok(Active { file, config })
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Active, TuningError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&CacheConfig { tuning_file: Some(file.path().to_path_buf()), ..CacheConfig::default() })
    }

    #[test]
    fn the_file_goes_over_the_settings() {
        let active = from("[view]\nmax_stale_s = 60\n[loads]\nconcurrent = 5\n").ok().unwrap();
        assert_eq!((active.config.max_stale, active.config.concurrent_loads), (Duration::from_secs(60), 5));
        assert_eq!(active.config.memory_bytes, CacheConfig::default().memory_bytes);
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("[view]\nmax_stale = 60\n", "max_stale"),
            ("[view]\nmemory_bytes = \"much\"\n", "memory_bytes"),
            ("[view]\nmemory_bytes = 1\n", "view.memory_bytes: expected at least 1048576"),
            ("[view]\nmax_lag_ms = 2000\nmax_stale_s = 1\n", "view.max_stale_s"),
            ("[loads]\nconcurrent = 0\n", "loads.concurrent"),
            ("[view\n", "expected TOML"),
        ] {
            let refused = from(text).err().unwrap().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
