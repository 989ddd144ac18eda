//! Leases: work that one process of the region does at a time. A lease ends by its TTL; two holders do double work,
//! which is harmless.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Result;
use crate::cql::Inner;
use crate::cql::statements::ttl;

const TABLE: &str = "leases";

/// The leases of this process.
pub(in crate::cql) struct Leases {
    /// Identifies this process as an owner.
    owner: [u8; 16],
    /// By name, each with the moment of its last renewal.
    renewed: Mutex<HashMap<String, Instant>>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { owner: rand::random(), renewed: Mutex::default() }
    }
}

impl Leases {
    fn renewed_at(&self, name: &str) -> Option<Instant> {
        self.renewed.lock().get(name).copied()
    }

    fn remember(&self, name: String, at: Instant) {
        self.renewed.lock().insert(name, at);
    }

    /// Returns whether this process had the lease.
    fn forget(&self, name: &str) -> bool {
        self.renewed.lock().remove(name).is_some()
    }
}

/// Whether a lease needs no renewal yet: it is renewed after a third of its time.
fn is_fresh(renewed_at: Instant, lease: Duration) -> bool {
    renewed_at.elapsed() < lease / 3
}

impl Inner {
    /// Takes a lease, or renews it when a third of it is over; one that has ended meanwhile is taken anew, unless
    /// another process has it.
    pub(in crate::cql) async fn lease(&self, name: String) -> Result<bool> {
        let (renewed_at, now) = (self.leases.renewed_at(&name), Instant::now());
        if renewed_at.is_some_and(|at| is_fresh(at, self.options.lease)) {
            return Ok(true);
        }
        // Without an answer this process may own the lease for a while and not use it: work waits until it ends.
        self.leases.forget(&name);
        let (lasts, owner, statements) = (ttl(self.options.lease), &self.leases.owner[..], &self.statements.jobs);
        let renewed = match renewed_at {
            Some(_) => self.compare(TABLE, &statements.renew_lease, (lasts, owner, &name, owner)).await?,
            None => false,
        };
        let taken = renewed || self.compare(TABLE, &statements.take_lease, (&name, owner, lasts)).await?;
        if taken {
            self.leases.remember(name, now);
        }
        Ok(taken)
    }

    /// Releases a lease before its end. If the outcome is unknown, the lease ends by itself.
    pub(in crate::cql) async fn release(&self, name: &str) -> Result<()> {
        if !self.leases.forget(name) {
            return Ok(());
        }
        self.execute(TABLE, &self.statements.jobs.release_lease, (name, &self.leases.owner[..])).await.map(drop)
    }
}
