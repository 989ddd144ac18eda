//! Equal shares of the agencies in something that is counted in units.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Agencies above which the idle ones are forgotten.
const IDLE_AGENCIES: usize = 256;

/// The shares; an agency that uses nothing of its share may be missing.
pub(crate) struct AgencyShares {
    /// Units of one share.
    units: u32,
    agencies: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl AgencyShares {
    /// Shares of so many units each.
    pub(crate) fn new(units: u32) -> Self {
        Self { units, agencies: Mutex::default() }
    }

    /// The units of one share.
    pub(crate) fn units(&self) -> u32 {
        self.units
    }

    /// Waits for a part of an agency's share. More units than a share are the whole share.
    pub(crate) async fn acquire(&self, agency: &str, units: u32) -> OwnedSemaphorePermit {
        let share = self.share_of(agency);
        share.acquire_many_owned(units.min(self.units)).await.expect("the semaphore is never closed")
    }

    fn share_of(&self, agency: &str) -> Arc<Semaphore> {
        let mut agencies = self.agencies.lock();
        if agencies.len() > IDLE_AGENCIES {
            // Permits and those that wait for one hold a clone.
            agencies.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.units as usize));
        Arc::clone(agencies.entry(agency.to_owned()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_refused(shares: &AgencyShares, agency: &str) -> bool {
        let acquire = pin!(shares.acquire(agency, 1));
        acquire.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn idle_agencies_are_forgotten_and_shares_in_use_are_not() {
        let shares = AgencyShares::new(8);
        let used = shares.acquire("busy", 9).await;
        for agency in 0..3 * IDLE_AGENCIES {
            drop(shares.acquire(&format!("agency-{agency}"), 1).await);
        }
        assert!(shares.agencies.lock().len() <= IDLE_AGENCIES + 1);
        assert!(is_refused(&shares, "busy"), "a share in use was forgotten");
        assert!(!is_refused(&shares, "other"));
        drop(used);
        assert!(!is_refused(&shares, "busy"));
    }
}
