//! The quota of each agency: persons that it may restrict in a minute of the clock.

use std::collections::HashMap;

use parking_lot::Mutex;
use yima_schema::time::Time;

/// What each agency has taken in its newest minute.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<String, Taken>>);

struct Taken {
    minute: i64,
    count: u32,
}

impl Quotas {
    /// Takes one from an agency's quota; if none is left, the seconds until there is.
    pub(super) fn take(&self, agency: &str, quota: u32, now: Time) -> Option<u32> {
        let (minute, second) = (now.as_secs().div_euclid(60), now.as_secs().rem_euclid(60));
        let mut agencies = self.0.lock();
        // The registry bounds the names.
        let taken = agencies.entry(agency.to_owned()).or_insert(Taken { minute, count: 0 });
        if taken.minute != minute {
            *taken = Taken { minute, count: 0 };
        }
        if taken.count >= quota {
            return Some(u32::try_from(60 - second).unwrap_or(60));
        }
        taken.count += 1;
        None
    }

    /// Gives back what was taken for events that restricted nobody, if its minute is not over.
    pub(super) fn give_back(&self, agency: &str, count: u32, now: Time) {
        if let Some(taken) = self.0.lock().get_mut(agency)
            && taken.minute == now.as_secs().div_euclid(60)
        {
            taken.count = taken.count.saturating_sub(count);
        }
    }
}
