//! The options with which a CQL store is opened.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;

/// Options of [`super::CqlStore::open`]. Errors name settings as `store.cql.…`, as the program calls them.
#[derive(Clone)]
pub struct CqlOptions {
    /// Nodes to connect to first, `host` or `host:port`. The driver finds the others.
    pub contact_points: Vec<String>,
    /// The datacenter of this region, as the database calls it. Requests go to no other, except for another region's
    /// events and marks.
    pub datacenter: String,
    /// This region's name: lower-case letters, digits and `_`.
    pub region: String,
    /// The keyspace of all regions. This region's own has the same name, followed by `_` and the region.
    pub keyspace: String,
    /// [`yima_schema::subject::PseudonymKey::fingerprint`]: the same in every region.
    pub pseudonym_fingerprint: [u8; 16],
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// TLS to the nodes, whose certificates have to name their IP addresses.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// For one request, including the driver's own retries.
    pub request_timeout: Duration,
    /// A lookup or a poll without an answer after this is also sent to another replica (a hedged request).
    pub speculate_after: Duration,
    /// A node without a sign of life for this long is left: its connections are closed, and requests under way on them
    /// go to other nodes.
    pub leave_silent_after: Duration,
    /// How long changes and marks are kept for consumers that are behind. Beyond it read nodes load every view again,
    /// and regions reconcile.
    pub retention: Duration,
    /// Interval of a writer's heartbeats.
    pub beat_every: Duration,
    /// A writer without a heartbeat for this long is taken for dead and its stream is sealed; if it lives, it goes on
    /// in a new one.
    pub dead_after: Duration,
    /// How long a lease on a stream's marks lasts without being renewed.
    pub lease: Duration,
    /// The present moment.
    pub clock: fn() -> Time,
    /// Lowest number of replicas that both keyspaces must have in this datacenter.
    pub min_replicas: u32,
    /// For the steps of `yima region rejoin` alone: opens a retired region too.
    pub rejoins: bool,
}

impl CqlOptions {
    /// The defaults, for a region and a pseudonym key's fingerprint: one node on this machine.
    pub fn new(region: impl Into<String>, pseudonym_fingerprint: [u8; 16]) -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".into()],
            datacenter: "dc1".into(),
            region: region.into(),
            keyspace: "yima".into(),
            pseudonym_fingerprint,
            credentials: None,
            tls: None,
            request_timeout: Duration::from_secs(2),
            speculate_after: Duration::from_millis(100),
            leave_silent_after: Duration::from_secs(3),
            retention: Duration::from_secs(12 * 3600),
            beat_every: Duration::from_secs(1),
            dead_after: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            clock: system_clock,
            min_replicas: 1,
            rejoins: false,
        }
    }

    /// The keyspace of this region alone.
    pub fn region_keyspace(&self) -> String {
        format!("{}_{}", self.keyspace, self.region)
    }
}

fn system_clock() -> Time {
    Time::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
