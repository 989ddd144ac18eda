//! How a CQL store is opened.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use yima_schema::time::Time;

/// What [`super::CqlStore::open`] has to know. Settings are named in errors as `store.cql.…`, as the program calls them.
#[derive(Clone)]
pub struct CqlOptions {
    /// Nodes to begin with, `host` or `host:port`. The driver finds the others.
    pub contact_points: Vec<String>,
    /// The datacenter of this region, as the database calls it: the only one that is asked.
    pub datacenter: String,
    /// This region's name: lower-case letters, digits and `_`.
    pub region: String,
    /// The keyspace of all regions. This region's own is called the same, `_` and the region.
    pub keyspace: String,
    /// [`yima_schema::subject::PseudonymKey::fingerprint`]: the same in every region.
    pub pseudonym_fingerprint: [u8; 16],
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// TLS to the nodes, whose certificates have to name their IP addresses.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// For one request, repetitions by the driver included.
    pub request_timeout: Duration,
    /// A look-up that has not been answered after this is also sent to another replica.
    pub speculate_after: Duration,
    /// How long changes and marks stay for those who are behind; beyond it read nodes load everything again, and regions reconcile.
    pub retention: Duration,
    /// How often a writer gives a sign of life.
    pub beat_every: Duration,
    /// A writer that has given none for so long is taken for dead and its stream closed; it goes on in a new one if it is not.
    pub dead_after: Duration,
    /// How long a lease on another stream's marks lasts without being renewed.
    pub lease: Duration,
    /// The present moment.
    pub clock: fn() -> Time,
    /// Replicas that both keyspaces must have in this datacenter at least.
    pub min_replicas: u32,
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
            retention: Duration::from_secs(12 * 3600),
            beat_every: Duration::from_secs(1),
            dead_after: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            clock: system_clock,
            min_replicas: 1,
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
