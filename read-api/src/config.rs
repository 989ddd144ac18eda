//! Settings of the read service. Their doc comments are the reference in `docs/configuration.md`, which is generated
//! from them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::code::{MAX_PAPER_LIFETIME, MAX_TOKEN_LIFETIME};
use yima_schema::phones::MAX_PHONES;
use yima_schema::time::{DAY, HOUR};
use yima_service::config::{self, Checks};
use yima_service::http::{HttpLimits, TlsConfig};
use yima_service::levels::LevelsConfig;
use yima_service::rate_limit::RateConfig;

/// The read service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct ReadApiConfig {
    /// Address and port of the public port: [addresses](#addresses).
    pub bind: SocketAddr,
    /// Addresses of the region's writers, each `host:port` of a public port that speaks plain HTTP: they take what
    /// citizens write, such as the end of a session, sealed, and give [hints](caching.md#hints), so each has its own
    /// address here and not a balancer's. A process with a writer needs those of the others, if there are any, for their
    /// hints. Without any, a read service apart answers such requests with 503, and shows changes at its polls.
    pub writers: Vec<String>,
    /// How long a code can be shown. A screenshot lives as long.
    #[serde(rename = "code_lifetime_s", with = "config::S")]
    pub code_lifetime: Duration,
    /// How long a [printed code](api.md#get-v1paper) can be shown: an hour to 30 days.
    #[serde(rename = "paper_lifetime_s", with = "config::S")]
    pub paper_lifetime: Duration,
    /// Whether this node answers `GET /v1/code`. Without, it needs no issuer's private key and answers 503; it scans all
    /// the same ([keys](operations/keys.md#nodes-that-sign-no-codes)).
    pub signs_codes: bool,
    /// How long a citizen's session lasts. Also those of `yima sessions`.
    #[serde(rename = "citizen_session_s", with = "config::S")]
    pub citizen_session: Duration,
    /// How long a checkpoint's session lasts.
    #[serde(rename = "checkpoint_session_s", with = "config::S")]
    pub checkpoint_session: Duration,
    /// The public port's address as browsers see it, such as `https://code.city.example`: with it people [sign in at the
    /// identity provider's page](guides/identity-provider.md). Needs `identity_provider.client_id`.
    pub public_url: Option<String>,
    /// Shortest time between two polls of a page; the longest is twice as long, and so is the time over which a crowd is
    /// spread. Pages are told by `Yima-Refresh-After`, [longer when the node is busy](caching.md#http). 1 to 3600.
    /// Default: 30, but 1 with the demo's identity provider.
    pub refresh_after_s: Option<u32>,
    /// Whether [`/openapi.json` and `/docs/`](api.md) are served: the API's description, and a page to read and try it.
    /// Default: only with the demo's identity provider.
    pub api_docs: Option<bool>,
    /// TLS of the public port.
    pub tls: Option<TlsConfig>,
    /// Connections and requests of the public port.
    pub http: HttpLimits,
    /// The cache and its proof.
    pub cache: CacheConfig,
    /// What a busy node leaves out.
    pub levels: LevelsConfig,
    /// Live displays.
    pub live_displays: LiveDisplaysConfig,
    /// Codes of other systems.
    pub foreign: ForeignConfig,
    /// Phones with keys of their own.
    pub phones: PhonesConfig,
    /// Rate limits.
    pub limits: Limits,
}

impl Default for ReadApiConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            writers: Vec::new(),
            code_lifetime: Duration::from_secs(60),
            paper_lifetime: MAX_PAPER_LIFETIME,
            signs_codes: true,
            citizen_session: DAY * 30,
            checkpoint_session: HOUR * 12,
            public_url: None,
            refresh_after_s: None,
            api_docs: None,
            tls: None,
            http: HttpLimits::default(),
            cache: CacheConfig::default(),
            levels: LevelsConfig::default(),
            live_displays: LiveDisplaysConfig::default(),
            foreign: ForeignConfig::default(),
            phones: PhonesConfig::default(),
            limits: Limits::default(),
        }
    }
}

impl ReadApiConfig {
    /// Checks the values of this section, `[read_api]`.
    pub fn check(&self, checks: &mut Checks<'_>) {
        let is_address = |text: &String| text.parse::<Authority>().is_ok_and(|address| address.port().is_some());
        let holds = self.writers.iter().all(is_address);
        checks.expect(holds, "read_api.writers", &[], "expected addresses such as writer-1:8081");
        let holds = (HOUR..=MAX_PAPER_LIFETIME).contains(&self.paper_lifetime);
        checks.expect(holds, "read_api.paper_lifetime_s", &[], "expected 3600 to 2592000");
        let holds = self.refresh_after_s.is_none_or(|seconds| (1..=3_600).contains(&seconds));
        checks.expect(holds, "read_api.refresh_after_s", &[], "expected 1 to 3600");
        self.cache.check(|setting| format!("read_api.cache.{setting}"), checks);
        self.phones.check(checks);
    }
}

/// The cache in front of the store. Some of these settings can be changed while a read node runs: [the tuning
/// file](#the-tuning-file).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct CacheConfig {
    /// Memory for views. About 1.3 kB a subject; at least 1 MiB.
    pub memory_bytes: usize,
    /// Memory for negative entries (proved absences). At least 1 MiB.
    pub absent_bytes: usize,
    /// Memory for signed tokens of phones. About 650 bytes a token; 0 keeps none.
    pub code_bytes: usize,
    /// Memory for opened sessions. About 450 bytes a session; 0 keeps none, which is faster unless nearly all requests
    /// come in few sessions ([why](decisions/0066-modules-of-sessions-and-tokens.md)).
    pub session_bytes: usize,
    /// A TOML file over these settings that is watched: [the tuning file](#the-tuning-file).
    pub tuning_file: Option<PathBuf>,
    /// Directory of the disk tier, of this process alone. Default: `cache` in the data directory. On the embedded store
    /// there is no disk tier.
    pub disk_path: Option<PathBuf>,
    /// The disk tier admits no new subject beyond this size; 0 disables the tier. About 400 bytes a subject.
    pub disk_bytes: u64,
    /// Subjects of the disk tier that the audit compares with the store per second; 0 disables the audit.
    pub audit_per_s: u32,
    /// Number of subjects whose latest known version is kept. About 20 bytes each. Far above the number of subjects
    /// that can change within `load_timeout_ms`.
    pub ledger_entries: usize,
    /// An answer no older is fresh. Several times `poll_ms`; at least 1.
    #[serde(rename = "max_lag_ms", with = "config::Ms")]
    pub max_lag: Duration,
    /// An older answer is not served. No less than `max_lag_ms`.
    #[serde(rename = "max_stale_s", with = "config::S")]
    pub max_stale: Duration,
    /// Another region that has not been heard for longer is silent: a scan of green is `check`, and answers name the
    /// region. 0 disables this, for a region that is away, until it is back or [retired](operations/regions.md).
    #[serde(rename = "max_region_lag_s", with = "config::S")]
    pub max_region_lag: Duration,
    /// Longest time between two polls of the feed, within which every node shows a change. In one process the follower is
    /// also woken by changes; elsewhere [hints](caching.md#hints) show most of them sooner.
    #[serde(rename = "poll_ms", with = "config::Ms")]
    pub poll_every: Duration,
    /// Loads in the store at once, 1 to 10,000.
    pub concurrent_loads: usize,
    /// Loads that may wait beyond `concurrent_loads`. More are refused. At most 1,000,000.
    pub queued_loads: usize,
    /// Time for a load, waiting included. A load that takes over half of it counts as slow for the circuit breaker.
    /// Below the clients' patience and `request_timeout_ms`; at least 1.
    #[serde(rename = "load_timeout_ms", with = "config::Ms")]
    pub load_timeout: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            absent_bytes: 16 << 20,
            code_bytes: 16 << 20,
            session_bytes: 0,
            tuning_file: None,
            disk_path: None,
            disk_bytes: 8 << 30,
            audit_per_s: 1_000,
            ledger_entries: 16_000_000,
            max_lag: Duration::from_secs(2),
            max_stale: DAY,
            max_region_lag: Duration::from_secs(60),
            poll_every: Duration::from_millis(200),
            concurrent_loads: 64,
            queued_loads: 1_000,
            load_timeout: Duration::from_secs(1),
        }
    }
}

impl CacheConfig {
    /// Checks the values and their relations to each other. `key` gives the full name of a setting of this section.
    pub fn check(&self, key: impl Fn(&str) -> String, checks: &mut Checks<'_>) {
        const MIB: usize = 1 << 20;
        let mut expect = |holds, setting, expected: &str| checks.expect(holds, &key(setting), &[], expected);
        expect(self.memory_bytes >= MIB, "memory_bytes", "expected at least 1048576");
        expect(self.absent_bytes >= MIB, "absent_bytes", "expected at least 1048576");
        expect(!self.max_lag.is_zero(), "max_lag_ms", "expected at least 1");
        expect((1..=10_000).contains(&self.concurrent_loads), "concurrent_loads", "expected 1 to 10000");
        expect(self.queued_loads <= 1_000_000, "queued_loads", "expected at most 1000000");
        expect(!self.load_timeout.is_zero(), "load_timeout_ms", "expected at least 1");
        let max_lag = key("max_lag_ms");
        let is_later = self.max_stale >= self.max_lag;
        checks.expect(is_later, &key("max_stale_s"), &[&max_lag], format!("expected no less than {max_lag}"));
    }
}

/// [Live displays](api.md#get-v1displayevents): displays that are sent their changes (server-sent events).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct LiveDisplaysConfig {
    /// Live displays open at once; 0 disables them. Each is a connection and about 1 kB. The default is half of
    /// `http.max_connections`, so that other requests find a connection. One more is refused, and its page polls
    /// instead.
    pub max_open: usize,
    /// Live displays of one subject at once, in all its sessions together.
    pub max_per_person: usize,
    /// [Utilization](caching.md#http) from which on no live display is opened; above 1 disables this. Those that are open
    /// end at [level 1](levels.md).
    pub max_busy: f32,
    /// How often at least a live display without changes reports its `as_of`, at most 60,000; each time up to a quarter
    /// earlier, at random. Each time it is also ended if the level is 1 or more. Pages take 75 s of silence for the end,
    /// and [proxies](operations/install.md#a-proxy-in-front) have to allow it.
    #[serde(rename = "report_every_ms", with = "config::Ms")]
    pub report_every: Duration,
    /// A live display ends after this time, or up to a quarter earlier, at random. Its page opens another, perhaps on
    /// another node.
    #[serde(rename = "max_age_s", with = "config::S")]
    pub max_age: Duration,
}

impl Default for LiveDisplaysConfig {
    fn default() -> Self {
        Self { max_open: 5_000, max_per_person: 4, max_busy: 0.6, report_every: Duration::from_secs(60), max_age: HOUR }
    }
}

/// Codes of other systems at checkpoints: EU Digital COVID Certificates and SMART Health Cards. The files may be
/// replaced while the process runs; one with an error changes nothing. The same on every read node, and on every writer,
/// which puts them into [offline bundles](offline-bundle.md#codes-of-other-systems).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct ForeignConfig {
    /// The issuers whose codes are read, as JSON: [the trust list](operations/foreign-codes.md#the-trust-list).
    /// Default: none, so no code of another system is read.
    pub trust_list_file: Option<PathBuf>,
    /// Which of their statements let a person pass, as TOML: [the acceptance
    /// rules](operations/foreign-codes.md#the-acceptance-rules). Default: the built-in document
    /// (`foreign/rules/acceptance.toml`).
    pub acceptance_file: Option<PathBuf>,
    /// Which of their codes were revoked one by one, as JSON:
    /// [revocations](operations/foreign-codes.md#revocations). Default: none.
    pub revocations_file: Option<PathBuf>,
}

/// [Phones](api.md#post-v1phones) that show codes with keys of their own, and their [tokens](code-format.md).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct PhonesConfig {
    /// Phones of one person at once, 1 to 8. One more is refused until another was ended.
    pub max_per_person: usize,
    /// Tokens in one batch, 1 to 8. Each is shown for up to 6 hours: 5 cover 24 hours.
    pub max_batch: usize,
    /// How long the last token of a batch lasts, from its issue: a quarter of an hour to 24 hours. So long does a phone
    /// show codes without this service, and so long does a lost phone without a denylist.
    #[serde(rename = "token_lifetime_s", with = "config::S")]
    pub token_lifetime: Duration,
}

impl Default for PhonesConfig {
    fn default() -> Self {
        Self { max_per_person: 4, max_batch: 5, token_lifetime: DAY }
    }
}

impl PhonesConfig {
    fn check(&self, checks: &mut Checks<'_>) {
        let mut expect = |holds, setting, expected| {
            checks.expect(holds, &format!("read_api.phones.{setting}"), &[], expected);
        };
        expect((1..=MAX_PHONES).contains(&self.max_per_person), "max_per_person", "expected 1 to 8");
        expect((1..=8).contains(&self.max_batch), "max_batch", "expected 1 to 8");
        let lifetimes = Duration::from_secs(900)..=MAX_TOKEN_LIFETIME;
        expect(lifetimes.contains(&self.token_lifetime), "token_lifetime_s", "expected 900 to 86400");
    }
}

/// Rate limits, each a quota of its own section: [`[read_api.limits.NAME]`](#read_apilimitsname-and-writerevents). None
/// is by address: behind a balancer all clients have the same.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct Limits {
    /// Displays, by citizen, all sessions together.
    pub display: RateConfig,
    /// Codes, by citizen, all sessions together.
    pub code: RateConfig,
    /// Histories and results, by citizen, all sessions together.
    pub history: RateConfig,
    /// Live displays that are opened, by citizen, all sessions together.
    pub live_display: RateConfig,
    /// Scans, by checkpoint; each code of `/v1/scans` counts.
    pub scan: RateConfig,
    /// Scans of codes of other systems, by checkpoint; each code of `/v1/scans` counts. Each is a scan too, and its code
    /// costs 12 to 80 times as much to judge as one of yima's own.
    pub foreign: RateConfig,
    /// Scans with `Cache-Control: no-cache`, by checkpoint. Those over the limit are answered from the cache.
    pub bypass: RateConfig,
    /// Subjects looked up by their identity document, by checkpoint.
    pub document: RateConfig,
    /// Sign-ins, by citizen or checkpoint.
    pub session: RateConfig,
    /// Sign-outs, and ends of too many sessions, by citizen. Each is stored as an event.
    pub session_end: RateConfig,
    /// Phones registered and ended, by citizen. Each is stored as an event.
    pub phone: RateConfig,
    /// Invitations made and redeemed, and guardianships ended, by citizen. All but the first are stored as events.
    pub guardianship: RateConfig,
    /// Batches of tokens, and lists of phones, wards and guardians, by citizen, all sessions and phones together.
    pub token: RateConfig,
    /// Printed codes, by citizen, all sessions together.
    pub paper: RateConfig,
    /// Sign-ins of all clients together; each costs a signature check. Also wrong signatures beyond
    /// `identity_provider.failures_per_s`; what does not look like a token of the identity provider costs nothing.
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
            foreign: RateConfig { burst: NonZeroU32::new(100), ..RateConfig::new(10, SECOND) },
            bypass: RateConfig::new(5, MINUTE),
            document: RateConfig::new(10, MINUTE),
            session: RateConfig::new(30, MINUTE),
            session_end: RateConfig::new(60, DAY),
            phone: RateConfig::new(20, DAY),
            guardianship: RateConfig::new(20, DAY),
            token: RateConfig::new(60, HOUR),
            paper: RateConfig::new(10, DAY),
            sign_in: RateConfig::new(5_000, SECOND),
        }
    }
}
