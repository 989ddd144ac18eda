//! Settings of the writer; see `docs/configuration.md`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use yima_service::config;
use yima_service::http::{HttpLimits, TlsConfig};
use yima_service::rate_limit::RateConfig;

use crate::refold::RefoldConfig;

/// Section `writer`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriterConfig {
    /// Address of the public port. Default `127.0.0.1:8081`.
    pub bind: SocketAddr,
    /// TLS of that port. Default: none.
    pub tls: Option<TlsConfig>,
    /// Connections, headers, requests. `max_in_flight` (here 256 by default) times the largest body bounds the memory.
    pub http: HttpLimits,
    /// Rows of one agency. Default 20,000 per second; a large upload is paced, not refused.
    pub events: RateConfig,
    /// For a body of up to 10 MB to arrive. Milliseconds, default 30,000.
    #[serde(rename = "body_timeout_ms", deserialize_with = "config::ms")]
    pub body_timeout: Duration,
    /// How far east of UTC FHIR dates without a time are meant. Minutes, -720 to 840, default 0; China 480. A date that is sent again after
    /// this was changed has another content.
    #[serde(deserialize_with = "offset")]
    pub fhir_date_offset_minutes: i16,
    /// Folding everyone again after a change of the rules.
    pub refold: RefoldConfig,
}

impl Default for WriterConfig {
    fn default() -> Self {
        const IN_FLIGHT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
        let http =
            HttpLimits { max_in_flight: IN_FLIGHT, request_timeout: Duration::from_secs(120), ..HttpLimits::default() };
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            tls: None,
            http,
            events: RateConfig::new(20_000, Duration::from_secs(1)),
            body_timeout: Duration::from_secs(30),
            fhir_date_offset_minutes: 0,
            refold: RefoldConfig::default(),
        }
    }
}

/// From Baker Island to the Line Islands.
fn offset<'de, D: Deserializer<'de>>(number: D) -> Result<i16, D::Error> {
    let minutes = i16::deserialize(number)?;
    let there_is = (-720..=840).contains(&minutes);
    there_is.then_some(minutes).ok_or_else(|| D::Error::custom("expected minutes east of UTC, from -720 to 840"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_one_that_there_is() {
        let read = |minutes: i16| {
            let config: Result<WriterConfig, _> = toml::from_str(&format!("fhir_date_offset_minutes = {minutes}"));
            config.ok().map(|config| config.fhir_date_offset_minutes)
        };
        assert_eq!([-721, -720, 480, 840, 841].map(read), [None, Some(-720), Some(480), Some(840), None]);
    }
}
