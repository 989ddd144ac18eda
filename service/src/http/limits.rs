//! Limits and timeouts of one port.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Network;
use crate::config::{self, Checks};

// Bodies are limited by the routes: `super::body::read_body`.
/// Connections and requests of a public port. The admin port uses the general defaults; they cannot be set.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct HttpLimits {
    /// Most open connections. One more closes those that wait longest for a request; if all others answer requests, it
    /// is answered 503 and closed. Each takes about 20 kB (32 kB with TLS) and a file
    /// descriptor. At start the soft limit of open files is raised to the hard one, and a warning says if that is below
    /// the sum of both ports and 1,000.
    pub max_connections: NonZeroUsize,
    /// Share of one client's address (IPv6: of its /64) in `max_connections`. Default: half of them. Beyond its share a
    /// client gets a connection only while at least an eighth of all is free, or by closing one of its own that waits
    /// for a request.
    pub max_connections_per_peer: Option<NonZeroUsize>,
    /// Addresses and networks, such as `10.0.0.0/8`, of balancers and proxies. Their connections are many clients', so
    /// they have no share.
    pub trusted_proxies: Vec<Network>,
    /// Whether the `trusted_proxies` send the PROXY protocol, version 2, before everything else: shares are then of the
    /// clients that it names. A connection of theirs without it is closed; from other addresses it is not read.
    pub proxy_protocol: bool,
    /// Most requests that wait for their answer. One more is answered 503 with `Retry-After`. A read service takes fewer
    /// while work queues, and fewer of [classes of a lower rank](levels.md#who-is-refused-first). A request waits until
    /// its answer's head is ready, unless that is at once. Little's law: rate × mean time; far below `max_connections`, or
    /// it protects nothing. For the writer, times 10 MB bounds the bodies in memory: a request keeps its permit until
    /// its rows are committed, even if its client has left.
    pub max_in_flight: NonZeroUsize,
    /// From waiting for a request to its last header. This timeout also ends idle connections: keep a balancer's idle
    /// time below it, or the balancer sends requests into connections that close.
    #[serde(rename = "header_read_timeout_ms", with = "config::Ms")]
    pub header_read_timeout: Duration,
    /// Request line and headers. At least 8,192 is used; a request with more is answered 431.
    pub max_header_bytes: usize,
    /// How long an answer may make no progress because its client does not read; then the connection is reset.
    #[serde(rename = "send_stall_ms", with = "config::Ms")]
    pub send_stall: Duration,
    /// Least rate at which a client has to read an answer that its socket does not take at once, measured once it has
    /// waited as long as `send_stall_ms`; below it the connection is reset.
    pub min_send_bytes_per_s: NonZeroU32,
    /// Bytes of one connection's answers in the system's memory. The system takes twice as many, for its own use. It
    /// bounds the rate of one connection to this number per round trip.
    pub send_buffer_bytes: usize,
    /// From the request's head to the answer's head, then 503. Above `body_timeout_ms` and the time of a paced upload.
    #[serde(rename = "request_timeout_ms", with = "config::Ms")]
    pub request_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(9_999),
            max_connections_per_peer: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            max_in_flight: NonZeroUsize::MIN.saturating_add(1_023),
            header_read_timeout: Duration::from_secs(60),
            max_header_bytes: 16_384,
            send_stall: Duration::from_secs(5),
            min_send_bytes_per_s: NonZeroU32::MIN.saturating_add(4_095),
            send_buffer_bytes: 32_768,
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl HttpLimits {
    /// Checks the relations of the values. `key` gives the full name of a setting of this section.
    pub fn check(&self, key: impl Fn(&str) -> String, checks: &mut Checks<'_>) {
        let proxies = key("trusted_proxies");
        let has_proxies = !self.proxy_protocol || !self.trusted_proxies.is_empty();
        let expected = format!("expected {proxies}: the protocol is read from these only");
        checks.expect(has_proxies, &key("proxy_protocol"), &[&proxies], expected);
    }
}
