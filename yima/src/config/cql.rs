//! Section `store.cql`.

use std::time::Duration;

use serde::Deserialize;
use yima_service::clock::now;
use yima_service::config::{self, Secret};
use yima_store::cql::CqlOptions;

use super::tls::TlsConfig;
use crate::error::CommandError;

/// See [`CqlOptions`], whose defaults these are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CqlConfig {
    /// Nodes to begin with, `host` or `host:port`. Default `127.0.0.1:9042`.
    pub contact_points: Vec<String>,
    /// The datacenter of this region, as the database calls it. Default `dc1`.
    pub datacenter: String,
    /// The keyspace of all regions; this region's own is called the same, `_` and the region. Default `yima`.
    pub keyspace: String,
    /// Whom the database knows us as. Default none: it does not ask.
    pub user: Option<String>,
    /// With `user`.
    pub password: Option<Secret>,
    /// TLS to the nodes. Default none.
    pub tls: Option<TlsConfig>,
    /// For one request, repetitions included. Milliseconds, default 2,000.
    #[serde(rename = "request_timeout_ms", deserialize_with = "config::ms")]
    pub request_timeout: Duration,
    /// A look-up is also sent to another replica after this. Milliseconds, default 100; below `request_timeout_ms`.
    #[serde(rename = "speculate_after_ms", deserialize_with = "config::ms")]
    pub speculate_after: Duration,
    /// How long changes and marks stay for those who are behind. Seconds, default 12 h; at least twice `dead_after_ms` and `lease_ms` together.
    #[serde(rename = "retention_s", deserialize_with = "config::s")]
    pub retention: Duration,
    /// How often a writer gives a sign of life. Milliseconds, default 1,000.
    #[serde(rename = "beat_every_ms", deserialize_with = "config::ms")]
    pub beat_every: Duration,
    /// A writer that gave none for so long is taken for dead. Milliseconds, default 10,000; several times `beat_every_ms`.
    #[serde(rename = "dead_after_ms", deserialize_with = "config::ms")]
    pub dead_after: Duration,
    /// How long a writer may follow another's marks without renewing its lease. Milliseconds, default 10,000; whole seconds count.
    #[serde(rename = "lease_ms", deserialize_with = "config::ms")]
    pub lease: Duration,
    /// Replicas that both keyspaces must have here at least. Default 3; 1 with the demo's own identity provider.
    pub min_replicas: Option<u32>,
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
            tls: None,
            request_timeout: options.request_timeout,
            speculate_after: options.speculate_after,
            retention: options.retention,
            beat_every: options.beat_every,
            dead_after: options.dead_after,
            lease: options.lease,
            min_replicas: None,
        }
    }
}

impl CqlConfig {
    /// See [`super::Config::cql`].
    pub(super) fn options(&self, region: &str, min_replicas: u32) -> Result<CqlOptions, CommandError> {
        self.check()?;
        Ok(CqlOptions {
            contact_points: self.contact_points.clone(),
            datacenter: self.datacenter.clone(),
            keyspace: self.keyspace.clone(),
            credentials: self.credentials()?,
            tls: self.tls.as_ref().map(TlsConfig::client).transpose()?,
            request_timeout: self.request_timeout,
            speculate_after: self.speculate_after,
            retention: self.retention,
            beat_every: self.beat_every,
            dead_after: self.dead_after,
            lease: self.lease,
            clock: now,
            min_replicas: self.min_replicas.unwrap_or(min_replicas),
            ..CqlOptions::new(region, [0; 16])
        })
    }

    fn check(&self) -> Result<(), CommandError> {
        for (key, given, least) in [
            ("store.cql.request_timeout_ms", self.request_timeout, Duration::from_millis(1)),
            ("store.cql.beat_every_ms", self.beat_every, Duration::from_millis(10)),
            ("store.cql.lease_ms", self.lease, Duration::from_secs(1)),
        ] {
            if given < least {
                return Err(CommandError::setting(key, format!("expected at least {}", least.as_millis())));
            }
        }
        // Fewer beats than that, and a slow write would be taken for a death.
        if self.dead_after < self.beat_every * 3 {
            return Err(CommandError::setting(
                "store.cql.dead_after_ms",
                "expected at least three times store.cql.beat_every_ms",
            ));
        }
        // A dead writer's marks are followed when it is taken for dead and whoever held the lease has lost it.
        if self.retention < (self.dead_after + self.lease) * 2 {
            return Err(CommandError::setting(
                "store.cql.retention_s",
                "expected at least twice store.cql.dead_after_ms and lease_ms together",
            ));
        }
        Ok(())
    }

    fn credentials(&self) -> Result<Option<(String, String)>, CommandError> {
        match (&self.user, &self.password) {
            (None, None) => Ok(None),
            (Some(user), Some(password)) => Ok(Some((user.clone(), password.expose().to_owned()))),
            (Some(_), None) => Err(CommandError::setting("store.cql.password", "expected with store.cql.user")),
            (None, Some(_)) => Err(CommandError::setting("store.cql.user", "expected with store.cql.password")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &CqlConfig) -> String {
        config.options("xian", 1).err().map(|e| e.to_string()).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let config = CqlConfig::default();
        assert!(config.options("xian", 1).is_ok());
        let slow = CqlConfig { beat_every: Duration::from_secs(5), ..config.clone() };
        assert!(refused(&slow).starts_with("store.cql.dead_after_ms: "));
        let alone = CqlConfig { password: Some(Secret::from("hunter2".to_owned())), ..config.clone() };
        assert_eq!(refused(&alone), "store.cql.user: expected with store.cql.password");
        let forgetful = CqlConfig { retention: Duration::from_secs(39), ..config };
        assert!(refused(&forgetful).starts_with("store.cql.retention_s: "));
    }
}
