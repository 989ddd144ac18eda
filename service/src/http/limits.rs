//! What one server takes at once and how long it waits.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;

use crate::config;

/// Limits of one listener. Those on bodies are the routes' own ([`super::body::read_body`]).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Open connections; one more is answered 503 and closed. Default 10,000; each takes about 12 KiB and a file descriptor.
    pub max_connections: NonZeroUsize,
    /// Requests that wait for their answer; one more is answered 503 with `Retry-After`. Default 1,024. A request waits until its answer's
    /// head is ready, unless that is at once. Little's law: rate × mean time; far below `max_connections`, or it protects nothing.
    pub max_in_flight: NonZeroUsize,
    /// From waiting for a request until its last header has arrived, so it also ends idle connections. Milliseconds, default 60,000; keep
    /// the balancer's idle time below it, or it sends requests into connections that close.
    #[serde(rename = "header_read_timeout_ms", deserialize_with = "config::ms")]
    pub header_read_timeout: Duration,
    /// Request line and headers. Bytes, default 16,384, at least 8,192; more is answered 431.
    pub max_header_bytes: usize,
    /// From the request's head to the answer's head; then 503. Milliseconds, default 30,000; above what a route gives to its body.
    #[serde(rename = "request_timeout_ms", deserialize_with = "config::ms")]
    pub request_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(9_999),
            max_in_flight: NonZeroUsize::MIN.saturating_add(1_023),
            header_read_timeout: Duration::from_secs(60),
            max_header_bytes: 16_384,
            request_timeout: Duration::from_secs(30),
        }
    }
}
