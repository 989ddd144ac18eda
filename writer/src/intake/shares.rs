//! Shares of the in-flight limit: one agency cannot hold all permits.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use yima_schema::problem::{Problem, ProblemType};

/// Requests of each agency that are in flight.
pub(super) struct Shares {
    most: usize,
    used: Mutex<HashMap<Arc<str>, usize>>,
}

/// One request of an agency; dropping it ends the count.
pub(super) struct Share {
    shares: Arc<Shares>,
    agency: Arc<str>,
}

impl Shares {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: Mutex::default() })
    }

    /// Counts one more request of an agency.
    ///
    /// # Errors
    /// 429: the agency has its share.
    pub(super) fn take(self: &Arc<Self>, agency: &Arc<str>) -> Result<Share, Problem> {
        let mut used = self.used.lock();
        let requests = used.entry(Arc::clone(agency)).or_default();
        if *requests >= self.most {
            let detail =
                format!("This agency has {} requests in flight; wait for the answer to one of them", self.most);
            return Err(Problem::new(ProblemType::TooManyRequests, detail).retry_after(1));
        }
        *requests += 1;
        Ok(Share { shares: Arc::clone(self), agency: Arc::clone(agency) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.shares.used.lock();
        if let Some(requests) = used.get_mut(&self.agency) {
            *requests -= 1;
            if *requests == 0 {
                used.remove(&self.agency);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_with_its_share_is_refused_and_another_is_not() {
        let shares = Shares::new(2);
        let [one, other] = ["lab-7", "lab-8"].map(Arc::<str>::from);
        let held = [shares.take(&one).ok(), shares.take(&one).ok()];
        assert_eq!(shares.take(&one).err().unwrap().kind, ProblemType::TooManyRequests);
        assert!(shares.take(&other).is_ok());
        drop(held);
        assert!(shares.take(&one).is_ok());
        assert!(shares.used.lock().is_empty());
    }
}
