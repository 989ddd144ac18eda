//! The memory of folds: one budget of bytes for the process, of which the events of one agency use a small part. The
//! part bounds its folds at a time, and with them the processor time that they take from others'.

use std::num::NonZeroU64;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pieces::PIECE_BYTES;
use crate::agency_shares::AgencyShares;

/// The part of the budget that one agency can use; at least one piece of a batch.
const AGENCY_SHARE: u32 = 16;
/// The unit of permits, since a semaphore counts in 32 bits.
const UNIT_BYTES: usize = 1_024;

/// The budget.
pub(super) struct FoldMemory {
    process: Arc<Semaphore>,
    agencies: AgencyShares,
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
        let share = (units / AGENCY_SHARE).max((PIECE_BYTES / UNIT_BYTES) as u32);
        Self { process: Arc::new(Semaphore::new(units as usize)), agencies: AgencyShares::new(share) }
    }

    /// Waits for a part of the budget; of an agency's events within its share. More bytes than a share are reserved as
    /// a whole share.
    pub(super) async fn reserve(&self, agency: Option<&str>, bytes: usize) -> Reserved {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.agencies.units());
        // First the share: what waits for it must not keep memory from other agencies.
        let share = match agency {
            Some(agency) => Some(self.agencies.acquire(agency, units).await),
            None => None,
        };
        let process = Arc::clone(&self.process).acquire_many_owned(units).await;
        Reserved { _process: process.expect("the semaphore is never closed"), _share: share }
    }
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
}
