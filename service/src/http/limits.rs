//! Limits and timeouts of one port.

use std::num::NonZeroUsize;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config;

// Bodies are limited by the routes: `super::body::read_body`.
/// Connections and requests of a public port. The admin port uses the general defaults; they cannot be set.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct HttpLimits {
    /// Most open connections. One more is answered 503 and closed. Each takes about 20 kB (32 kB with TLS) and a file
    /// descriptor. At start the soft limit of open files is raised to the hard one, and a warning says if that is below
    /// the sum of both ports and 1,000.
    pub max_connections: NonZeroUsize,
    /// Most requests that wait for their answer. One more is answered 503 with `Retry-After`. A request waits until its
    /// answer's head is ready, unless that is at once. Little's law: rate × mean time; far below `max_connections`, or
    /// it protects nothing. For the writer, times 10 MB bounds the bodies in memory: a request keeps its permit until
    /// its rows are committed, even if its client has left.
    pub max_in_flight: NonZeroUsize,
    /// From waiting for a request to its last header. This timeout also ends idle connections: keep a balancer's idle
    /// time below it, or the balancer sends requests into connections that close.
    #[serde(rename = "header_read_timeout_ms", with = "config::Ms")]
    pub header_read_timeout: Duration,
    /// Request line and headers. At least 8,192 is used; a request with more is answered 431.
    pub max_header_bytes: usize,
    /// From the request's head to the answer's head, then 503. Above `body_timeout_ms` and the time of a paced upload.
    #[serde(rename = "request_timeout_ms", with = "config::Ms")]
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
