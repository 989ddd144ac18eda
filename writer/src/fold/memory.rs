//! The memory of folds: one budget of bytes for the process, of which the events of one agency use a quarter at most.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of the budget that one agency can use.
const AGENCY_SHARE: u32 = 4;
/// Agencies above which the idle ones are forgotten.
const IDLE_AGENCIES: usize = 256;
/// The unit of permits, since a semaphore counts in 32 bits.
const UNIT_BYTES: usize = 1_024;

/// The budget.
pub(super) struct FoldMemory {
    process: Arc<Semaphore>,
    /// Shares of agencies; an agency without folds may be missing.
    agencies: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Units of one share.
    share: u32,
}

/// A part of the budget, free again when this is dropped.
pub(super) struct Reserved {
    _process: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
}

impl FoldMemory {
    /// A budget of this many bytes.
    pub(super) fn new(bytes: NonZeroU64) -> Self {
        // 2 TiB are more than any machine has, and fit into a semaphore.
        let units = bytes.get().div_ceil(UNIT_BYTES as u64).min(1 << 31) as u32;
        Self {
            process: Arc::new(Semaphore::new(units as usize)),
            agencies: Mutex::default(),
            share: units / AGENCY_SHARE,
        }
    }

    /// Waits for a part of the budget; of an agency's events within its share. More bytes than a share are reserved as
    /// a whole share.
    pub(super) async fn reserve(&self, agency: Option<&str>, bytes: usize) -> Reserved {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.share);
        // First the share: what waits for it must not keep memory from other agencies.
        let share = match agency {
            Some(agency) => Some(acquire(self.share_of(agency), units).await),
            None => None,
        };
        Reserved { _process: acquire(Arc::clone(&self.process), units).await, _share: share }
    }

    fn share_of(&self, agency: &str) -> Arc<Semaphore> {
        let mut agencies = self.agencies.lock();
        if agencies.len() > IDLE_AGENCIES {
            // Folds and those that wait for them hold a clone.
            agencies.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.share as usize));
        Arc::clone(agencies.entry(agency.to_owned()).or_insert_with(new))
    }
}

async fn acquire(semaphore: Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
    semaphore.acquire_many_owned(units).await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn memory() -> FoldMemory {
        FoldMemory::new(NonZeroU64::new(32 * MIB as u64).unwrap())
    }

    fn is_refused(memory: &FoldMemory, agency: &str, bytes: usize) -> bool {
        let reserve = pin!(memory.reserve(Some(agency), bytes));
        reserve.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn an_agency_that_uses_its_share_waits_and_others_do_not() {
        let memory = memory();
        let used = memory.reserve(Some("lab-7"), 8 * MIB).await;
        assert!(is_refused(&memory, "lab-7", 1));
        assert!(!is_refused(&memory, "lab-8", 8 * MIB));
        drop(used);
        assert!(!is_refused(&memory, "lab-7", 1));
    }

    #[tokio::test]
    async fn all_agencies_together_stay_within_the_budget() {
        let memory = memory();
        let mut used = Vec::new();
        for agency in ["a", "b", "c", "d"] {
            used.push(memory.reserve(Some(agency), 100 * MIB).await);
        }
        assert!(is_refused(&memory, "e", 1));
        used.pop();
        assert!(!is_refused(&memory, "e", 1));
    }

    #[tokio::test]
    async fn idle_agencies_are_forgotten() {
        let memory = memory();
        let used = memory.reserve(Some("busy"), 8 * MIB).await;
        for agency in 0..3 * IDLE_AGENCIES {
            drop(memory.reserve(Some(&format!("agency-{agency}")), 1).await);
        }
        assert!(memory.agencies.lock().len() <= IDLE_AGENCIES + 1);
        assert!(is_refused(&memory, "busy", 1), "a share in use was forgotten");
        drop(used);
    }
}
