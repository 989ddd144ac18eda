//! Section `store.cql`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_service::clock::now;
use yima_service::config::{self, Checks, Secret};
use yima_store::cql::CqlOptions;

use super::tls::TlsConfig;
use crate::error::CommandError;

// The defaults are those of `CqlOptions`.
/// ScyllaDB or Apache Cassandra. The same `keyspace`, `retention_s` and `dead_after_ms` belong on every node; a
/// `region.name` belongs to one datacenter.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct CqlConfig {
    /// First nodes to connect to, `host` or `host:port`. The driver finds the others. Without an answer a start is
    /// given up after 12 s.
    pub contact_points: Vec<String>,
    /// This region's datacenter, by the database's name for it. No request goes to another datacenter.
    pub datacenter: String,
    /// Keyspace of all regions. This region's own is called `yima_<region.name>`: this name, `_` and the region. Both
    /// this name and `region.name`: 1 to 20 lower-case letters, digits and `_`, a letter first.
    pub keyspace: String,
    /// User of the database; with `password` or not at all.
    pub user: Option<String>,
    /// Password of `user`: a text, best set in the environment, or `{ file = "…" }`.
    pub password: Option<Secret>,
    /// Time for one request, repetitions included. At least 1.
    #[serde(rename = "request_timeout_ms", with = "config::Ms")]
    pub request_timeout: Duration,
    /// A lookup or poll without an answer for this time is also sent to another replica (hedged request). Below
    /// `request_timeout_ms`.
    #[serde(rename = "speculate_after_ms", with = "config::Ms")]
    pub speculate_after: Duration,
    /// A node without a sign of life for this time is left: its connections are closed, and requests under way on them
    /// go to other nodes. Longer than the pauses of the nodes' garbage collectors.
    #[serde(rename = "leave_silent_after_ms", with = "config::Ms")]
    pub leave_silent_after: Duration,
    /// How long changes and marks are kept for followers that are behind. Read nodes further behind load everything
    /// again. At least twice `dead_after_ms` and `lease_ms` together.
    #[serde(rename = "retention_s", with = "config::S")]
    pub retention: Duration,
    /// Time between two heartbeats of a writer. At least 10.
    #[serde(rename = "beat_every_ms", with = "config::Ms")]
    pub beat_every: Duration,
    /// A writer without a heartbeat for this time has its stream sealed by another. A writer that still lives goes on
    /// in a new stream. At least 3 × `beat_every_ms`.
    #[serde(rename = "dead_after_ms", with = "config::Ms")]
    pub dead_after: Duration,
    /// How long a lease on another writer's marks lasts without renewal. Whole seconds count. At least 1,000.
    #[serde(rename = "lease_ms", with = "config::Ms")]
    pub lease: Duration,
    /// Fewest replicas in `datacenter`, of either keyspace. With fewer a start is refused: one lost node would lose
    /// acknowledged events. Default: 3 when `identity_provider.keys_file` is set, else 1.
    pub min_replicas: Option<u32>,
    /// TLS to the nodes.
    pub tls: Option<TlsConfig>,
}

impl Default for CqlConfig {
    fn default() -> Self {
        let options = CqlOptions::new("", [0; 16]);
        Self {
            contact_points: options.contact_points,
            datacenter: options.datacenter,
            keyspace: options.keyspace,
            user: None,
            password: None,
            request_timeout: options.request_timeout,
            speculate_after: options.speculate_after,
            leave_silent_after: options.leave_silent_after,
            retention: options.retention,
            beat_every: options.beat_every,
            dead_after: options.dead_after,
            lease: options.lease,
            min_replicas: None,
            tls: None,
        }
    }
}

impl CqlConfig {
    /// See [`super::Config::cql`].
    pub(super) fn options(&self, region: &str, min_replicas: u32) -> Result<CqlOptions, CommandError> {
        let credentials = self.user.as_ref().zip(self.password.as_ref());
        Ok(CqlOptions {
            contact_points: self.contact_points.clone(),
            datacenter: self.datacenter.clone(),
            keyspace: self.keyspace.clone(),
            credentials: credentials.map(|(user, password)| (user.clone(), password.expose().to_owned())),
            tls: self.tls.as_ref().map(TlsConfig::client).transpose()?,
            request_timeout: self.request_timeout,
            speculate_after: self.speculate_after,
            leave_silent_after: self.leave_silent_after,
            retention: self.retention,
            beat_every: self.beat_every,
            dead_after: self.dead_after,
            lease: self.lease,
            clock: now,
            min_replicas: self.min_replicas.unwrap_or(min_replicas),
            ..CqlOptions::new(region, [0; 16])
        })
    }

    /// Checks the values and their relations to each other.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        const BEAT_EVERY: &str = "store.cql.beat_every_ms";
        const DEAD_AFTER: &str = "store.cql.dead_after_ms";
        const LEASE: &str = "store.cql.lease_ms";
        const USER: &str = "store.cql.user";
        const PASSWORD: &str = "store.cql.password";
        for (key, value, least) in [
            ("store.cql.request_timeout_ms", self.request_timeout, Duration::from_millis(1)),
            ("store.cql.leave_silent_after_ms", self.leave_silent_after, Duration::from_millis(1)),
            (BEAT_EVERY, self.beat_every, Duration::from_millis(10)),
            (LEASE, self.lease, Duration::from_secs(1)),
        ] {
            checks.expect(value >= least, key, &[], format!("expected at least {}", least.as_millis()));
        }
        // With fewer heartbeats than that a slow write would pass for a dead writer.
        checks.expect(
            self.dead_after >= self.beat_every.saturating_mul(3),
            DEAD_AFTER,
            &[BEAT_EVERY],
            format!("expected at least three times {BEAT_EVERY}"),
        );
        // A dead writer's marks are followed once it counts as dead and the lease on them has ended.
        checks.expect(
            self.retention >= self.dead_after.saturating_add(self.lease).saturating_mul(2),
            "store.cql.retention_s",
            &[DEAD_AFTER, LEASE],
            format!("expected at least twice {DEAD_AFTER} and lease_ms together"),
        );
        let (has_user, has_password) = (self.user.is_some(), self.password.is_some());
        checks.expect(has_password || !has_user, PASSWORD, &[USER], format!("expected with {USER}"));
        checks.expect(has_user || !has_password, USER, &[PASSWORD], format!("expected with {PASSWORD}"));
        if let Some(tls) = &self.tls {
            tls.check(checks);
        }
    }
}
