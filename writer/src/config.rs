//! Settings of the writer. Their doc comments are the reference in `docs/configuration.md`, which is generated from
//! them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use yima_schema::time::Time;
use yima_service::config::{self, Checks};
use yima_service::http::{HttpLimits, TlsConfig};
use yima_service::rate_limit::RateConfig;

/// The writer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct WriterConfig {
    /// Address and port of the public port: [addresses](#addresses).
    pub bind: SocketAddr,
    /// Time for a body of up to 10 MB to arrive. One that is slower than 1 kB/s after 5 s is given up then.
    #[serde(rename = "body_timeout_ms", with = "config::Ms")]
    pub body_timeout: Duration,
    /// Time for a batch of up to 2,000 rows to become durable, be folded and published. After it the rows are answered
    /// with 503, and the batch goes on: it may be stored. Above the database's `request_timeout_ms`, or a single slow
    /// request ends in 503.
    #[serde(rename = "commit_timeout_ms", with = "config::Ms")]
    pub commit_timeout: Duration,
    /// Most requests of one agency in flight: its share of `http.max_in_flight`. Default: a quarter of it. One more is
    /// answered 429.
    pub max_in_flight_per_agency: Option<NonZeroUsize>,
    /// The registry of agencies: what each may send. [Agencies](#the-registry-of-agencies). Default: none: every agency
    /// may send everything. The file may be replaced while the process runs; one with an error changes nothing. The
    /// same on every writer.
    pub agencies_file: Option<PathBuf>,
    /// Offset east of UTC of [FHIR](api.md#fhir) dates without a time, -720 to 840, for agencies to which the registry
    /// gives no `zone`. 480 in China, where otherwise
    /// today's date is in the future until 08:00. The same on every writer. A resource with such a date that is sent
    /// again after a change of this setting has another content: 409.
    #[serde(deserialize_with = "offset")]
    pub fhir_date_offset_minutes: i16,
    /// Codes of tests and results that your laboratories use, laid over the built-in ones
    /// (`writer/terminology/codes.toml`, the same form): [codes](api.md#codes). The file may be replaced while the
    /// process runs; one with an error changes nothing. The same on every writer.
    pub codes_file: Option<PathBuf>,
    /// Rows of events, by agency. A quota of its own section:
    /// [`[writer.events]`](#read_apilimitsname-and-writerevents). An upload of more is slowed down; one that needs
    /// longer than `request_timeout_ms` ends in 503.
    pub events: RateConfig,
    /// The public port's address as browsers see it, such as `https://agencies.city.example`: with it people of agencies
    /// [sign in at the identity provider's page](guides/identity-provider.md). Needs `identity_provider.client_id`.
    pub public_url: Option<String>,
    /// How long the session of a person on the agency's page lasts.
    #[serde(rename = "agency_session_s", with = "config::S")]
    pub agency_session: Duration,
    /// Whether [`/openapi.json` and `/docs/`](api.md) are served: the API's description, and a page to read and try it.
    /// Default: only with the demo's identity provider.
    pub api_docs: Option<bool>,
    /// TLS of the public port.
    pub tls: Option<TlsConfig>,
    /// Connections and requests of the public port.
    pub http: HttpLimits,
    /// Folds of new events.
    pub fold: FoldConfig,
    /// Refolding after a change of the rules.
    pub refold: RefoldConfig,
}

impl Default for WriterConfig {
    fn default() -> Self {
        const IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
        let http =
            HttpLimits { max_in_flight: IN_FLIGHT, request_timeout: Duration::from_secs(120), ..HttpLimits::default() };
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            body_timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(10),
            max_in_flight_per_agency: None,
            agencies_file: None,
            fhir_date_offset_minutes: 0,
            codes_file: None,
            events: RateConfig::new(20_000, Duration::from_secs(1)),
            public_url: None,
            agency_session: Duration::from_secs(12 * 3_600),
            api_docs: None,
            tls: None,
            http,
            fold: FoldConfig::default(),
            refold: RefoldConfig::default(),
        }
    }
}

/// [Folds](glossary.md#writing) of new events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct FoldConfig {
    /// Memory of all folds together, at least 33,554,432 (32 MiB). The events of one agency use a sixteenth of it
    /// at most, or 8 MiB; folds beyond it wait.
    #[serde(deserialize_with = "memory")]
    pub memory_bytes: NonZeroU64,
}

impl Default for FoldConfig {
    fn default() -> Self {
        Self { memory_bytes: NonZeroU64::MIN.saturating_add((256 << 20) - 1) }
    }
}

/// Refolding of all subjects after [a change of the rules](operations/cql.md#changing-the-rules).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct RefoldConfig {
    /// Subjects that the full scan reads per second.
    pub subjects_per_s: NonZeroU32,
}

impl Default for RefoldConfig {
    fn default() -> Self {
        Self { subjects_per_s: NonZeroU32::MIN.saturating_add(1_999) }
    }
}

/// [Offline bundles](offline-bundle.md): what checkpoints judge by without a network. The same on every node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct OfflineConfig {
    /// Time between two releases, 1 to 900. Releases are at multiples of it, so that caches and clients agree when to
    /// ask again. An event counts offline by the next release.
    #[serde(rename = "release_period_s", with = "config::S")]
    pub release_period: Duration,
    /// Age from which on checkpoints warn.
    #[serde(rename = "warn_s", with = "config::S")]
    pub warn: Duration,
    /// Age from which on no code passes. At least `warn_s`.
    #[serde(rename = "grace_s", with = "config::S")]
    pub grace: Duration,
    /// Age from which on checkpoints judge nothing. At least `grace_s`, at most 259,200 (72 h). A bundle has the denylist of
    /// all codes that may be shown until then.
    #[serde(rename = "stop_s", with = "config::S")]
    pub stop: Duration,
    /// How old the data of a token may have been when it was issued: codes of older data do not pass. At most 3,600,
    /// for which tokens of a view are still denied after it was replaced.
    #[serde(rename = "max_lag_s", with = "config::S")]
    pub max_lag: Duration,
    /// Tokens issued before this moment (RFC 3339) are to be asked online, as after the loss of a pseudonym key or the
    /// restore of a backup. Default: none.
    #[schemars(with = "Option<String>")]
    pub issued_not_before: Option<Time>,
}

impl Default for OfflineConfig {
    fn default() -> Self {
        Self {
            release_period: Duration::from_secs(300),
            warn: Duration::from_secs(3_600),
            grace: Duration::from_secs(12 * 3_600),
            stop: Duration::from_secs(24 * 3_600),
            max_lag: Duration::from_secs(900),
            issued_not_before: None,
        }
    }
}

impl OfflineConfig {
    /// Checks the settings against each other.
    pub fn check(&self, checks: &mut Checks<'_>) {
        let period = Duration::from_secs(1)..=Duration::from_secs(900);
        checks.expect(period.contains(&self.release_period), "offline.release_period_s", &[], "expected 1 to 900");
        let (warn, grace) = ("offline.warn_s", "offline.grace_s");
        checks.expect(self.warn <= self.grace, grace, &[warn], format!("expected at least {warn}"));
        let stop = self.grace <= self.stop && self.stop <= Duration::from_secs(72 * 3_600);
        checks.expect(stop, "offline.stop_s", &[grace], format!("expected at least {grace}, at most 259200"));
        let lag = self.max_lag <= Duration::from_secs(3_600);
        checks.expect(lag, "offline.max_lag_s", &[], "expected at most 3600");
    }
}

/// A share of less than 8 MiB would hold no piece of a fold.
fn memory<'de, D: Deserializer<'de>>(number: D) -> Result<NonZeroU64, D::Error> {
    let bytes = NonZeroU64::deserialize(number)?;
    (bytes.get() >= 32 << 20).then_some(bytes).ok_or_else(|| D::Error::custom("expected bytes, at least 33554432"))
}

/// From Baker Island to the Line Islands.
fn offset<'de, D: Deserializer<'de>>(number: D) -> Result<i16, D::Error> {
    let minutes = i16::deserialize(number)?;
    let exists = (-720..=840).contains(&minutes);
    exists.then_some(minutes).ok_or_else(|| D::Error::custom("expected minutes east of UTC, from -720 to 840"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_memory_that_holds_no_piece_is_refused() {
        let read = |bytes: u64| toml::from_str::<FoldConfig>(&format!("memory_bytes = {bytes}")).is_ok();
        assert_eq!([0, (32 << 20) - 1, 32 << 20].map(read), [false, false, true]);
    }

    #[test]
    fn an_offset_that_no_place_has_is_refused() {
        let read = |minutes: i16| {
            let config: Result<WriterConfig, _> = toml::from_str(&format!("fhir_date_offset_minutes = {minutes}"));
            config.ok().map(|config| config.fhir_date_offset_minutes)
        };
        assert_eq!([-721, -720, 480, 840, 841].map(read), [None, Some(-720), Some(480), Some(840), None]);
    }
}
