//! Settings of the writer; see `docs/configuration.md`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use yima_service::config;
use yima_service::http::{HttpLimits, TlsConfig};
use yima_service::rate::RateConfig;

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
            refold: RefoldConfig::default(),
        }
    }
}
