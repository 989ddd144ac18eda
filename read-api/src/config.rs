//! Settings of the read service; see `docs/configuration.md`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use yima_schema::time::{DAY, HOUR};
use yima_service::config;
use yima_service::http::{HttpLimits, TlsConfig};
use yima_service::rate_limit::RateConfig;

/// Section `read_api`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadApiConfig {
    /// Address of the public port. Default `127.0.0.1:8080`.
    pub bind: SocketAddr,
    /// TLS of that port. Default: none.
    pub tls: Option<TlsConfig>,
    /// Connections, headers, requests.
    pub http: HttpLimits,
    /// The cache and its proof.
    pub cache: CacheConfig,
    /// Rate limits.
    pub limits: Limits,
    /// Displays that are told of changes.
    pub live_displays: LiveDisplaysConfig,
    /// How long a code can be shown. Seconds, default 60.
    #[serde(rename = "code_lifetime_s", deserialize_with = "config::s")]
    pub code_lifetime: Duration,
    /// Life of a citizen's session. Seconds, default 30 days.
    #[serde(rename = "citizen_session_s", deserialize_with = "config::s")]
    pub citizen_session: Duration,
    /// Life of a checkpoint's session. Seconds, default 12 h.
    #[serde(rename = "checkpoint_session_s", deserialize_with = "config::s")]
    pub checkpoint_session: Duration,
    /// What `Yima-Refresh-After` asks of pages, before jitter of up to a quarter. Seconds, default 1.
    pub refresh_after_s: u32,
}

impl Default for ReadApiConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            http: HttpLimits::default(),
            cache: CacheConfig::default(),
            limits: Limits::default(),
            live_displays: LiveDisplaysConfig::default(),
            code_lifetime: Duration::from_secs(60),
            citizen_session: DAY * 30,
            checkpoint_session: HOUR * 12,
            refresh_after_s: 1,
        }
    }
}

/// Section `read_api.cache`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Memory for views. Bytes, default 512 MiB; about 1.3 kB a person.
    pub memory_bytes: usize,
    /// Memory for proved absences. Bytes, default 16 MiB.
    pub absent_bytes: usize,
    /// A TOML file over these settings that can be changed while the process runs; see `docs/configuration.md`. Default: none.
    pub tuning_file: Option<PathBuf>,
    /// Directory of the disk tier, of this process alone. Default: `cache` in the data directory. On the embedded store there is none.
    pub disk_path: Option<PathBuf>,
    /// Over this, the disk tier takes nobody new. Bytes, default 8 GiB; 0: no disk tier. About 400 bytes a person.
    pub disk_bytes: u64,
    /// Subjects that the audit compares with the store. Per second, default 1,000; 0: no audit. Only with a disk tier.
    pub audit_per_s: u32,
    /// Subjects of whom the ledger remembers what was learned of them last. Default 16 million, about 20 bytes each when full; more than
    /// can change within `load_timeout_ms`.
    pub ledger_entries: usize,
    /// An answer true of a moment no longer ago is fresh. Milliseconds, default 2,000; several times `poll_ms`.
    #[serde(rename = "max_lag_ms", deserialize_with = "config::ms")]
    pub max_lag: Duration,
    /// An answer true of a moment longer ago is not given. Seconds, default 24 h.
    #[serde(rename = "max_stale_s", deserialize_with = "config::s")]
    pub max_stale: Duration,
    /// The feed is read at least so often. Milliseconds, default 200.
    #[serde(rename = "poll_ms", deserialize_with = "config::ms")]
    pub poll_every: Duration,
    /// Loads in the store at once. Default 64.
    pub concurrent_loads: usize,
    /// Loads that may wait for one of these; more are refused. Default 1,000.
    pub queued_loads: usize,
    /// For one load, waiting included. Milliseconds, default 1,000; shorter than the clients' patience.
    #[serde(rename = "load_timeout_ms", deserialize_with = "config::ms")]
    pub load_timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            absent_bytes: 16 << 20,
            tuning_file: None,
            disk_path: None,
            disk_bytes: 8 << 30,
            audit_per_s: 1_000,
            ledger_entries: 16_000_000,
            max_lag: Duration::from_secs(2),
            max_stale: DAY,
            poll_every: Duration::from_millis(200),
            concurrent_loads: 64,
            queued_loads: 1_000,
            load_timeout: Duration::from_secs(1),
        }
    }
}

/// Section `read_api.live_displays`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveDisplaysConfig {
    /// Streams open at once; one more is refused, and its page asks instead. Default 5,000: half of `http.max_connections`, so that others
    /// find room. 0: none.
    pub max_open: usize,
    /// Of one person; one more is refused. Default 4.
    pub max_per_person: usize,
    /// From so busy on (`runtime_busy_ratio`) none is opened; 0.1 above, those that are open end. Default 0.6; above 1: never.
    pub max_busy: f32,
    /// How often a stream on which nothing changes tells of which moment that is true; it then looks whether the node is busy, too. Plus up
    /// to a quarter. Milliseconds, default 5,000, at least 100; pages take what is 10 s old for out of date.
    #[serde(rename = "report_every_ms", deserialize_with = "config::ms")]
    pub report_every: Duration,
    /// After this a stream ends, and its page opens another, perhaps on another node. Seconds, default 600.
    #[serde(rename = "max_age_s", deserialize_with = "config::s")]
    pub max_age: Duration,
}

impl Default for LiveDisplaysConfig {
    fn default() -> Self {
        Self {
            max_open: 5_000,
            max_per_person: 4,
            max_busy: 0.6,
            report_every: Duration::from_secs(5),
            max_age: Duration::from_secs(600),
        }
    }
}

/// Section `read_api.limits`. Never by address: behind a balancer everyone has the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Displays of one session. Default 10 per second.
    pub display: RateConfig,
    /// Codes of one session. Default 6 per minute.
    pub code: RateConfig,
    /// Histories of one session. Default 6 per minute.
    pub history: RateConfig,
    /// Streams that one session opens. Default 20 per minute.
    pub live_display: RateConfig,
    /// Codes that one checkpoint scans, one by one or many in a request. Default 50 per second, 100 at once.
    pub scan: RateConfig,
    /// Scans of one checkpoint that ask past the cache (`Cache-Control: no-cache`); over it they are answered from the cache. Default 5 per
    /// minute.
    pub bypass: RateConfig,
    /// People that one checkpoint looks up by their identity document. Default 10 per minute.
    pub document: RateConfig,
    /// Sign-ins of one person or checkpoint. Default 30 per minute.
    pub session: RateConfig,
    /// Sign-ins of everybody, wrong tokens included: each costs a signature check. Default 5,000 per second.
    pub sign_in: RateConfig,
}

impl Default for Limits {
    fn default() -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            display: RateConfig::new(10, SECOND),
            code: RateConfig::new(6, MINUTE),
            history: RateConfig::new(6, MINUTE),
            live_display: RateConfig::new(20, MINUTE),
            scan: RateConfig { burst: NonZeroU32::new(100), ..RateConfig::new(50, SECOND) },
            bypass: RateConfig::new(5, MINUTE),
            document: RateConfig::new(10, MINUTE),
            session: RateConfig::new(30, MINUTE),
            sign_in: RateConfig::new(5_000, SECOND),
        }
    }
}
