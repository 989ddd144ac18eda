//! Settings of the writer. Their doc comments are the reference in `docs/configuration.md`, which is generated from
//! them.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use yima_service::config;
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
    /// Whether [`/openapi.json` and `/docs/`](api.md) are served: the API's description, and a page to read and try it.
    /// Default: only without `identity_provider.keys_file`.
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
