//! Subscriptions: live displays that are woken as soon as a change of their subject is admitted; a limited number of
//! each subject.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use yima_schema::subject::SubjectId;

/// All open subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions {
    by_subject: Mutex<HashMap<SubjectId, Vec<Arc<Notify>>>>,
    /// Number of subscriptions in the map; as long as it is 0, applying a change takes no lock.
    open: AtomicUsize,
    closed: AtomicBool,
}

/// Why a subscription is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SubscribeError {
    /// The largest number of subscriptions is open, or the process stops.
    Full,
    /// The largest number of subscriptions to this subject is open.
    SubjectFull,
}

/// A subscription to one subject; ends when it is dropped.
pub(crate) struct Subscription {
    subscriptions: Arc<Subscriptions>,
    subject: SubjectId,
    changed: Arc<Notify>,
}

impl Subscriptions {
    /// Number of open subscriptions.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Opens a subscription. Changes that are admitted before it waits again wake it once.
    pub fn subscribe(
        self: &Arc<Self>,
        subject: SubjectId,
        max_open: usize,
        max_per_subject: usize,
    ) -> Result<Subscription, SubscribeError> {
        let mut by_subject = self.by_subject.lock();
        if self.closed.load(Ordering::Relaxed) || self.open() >= max_open {
            return Err(SubscribeError::Full);
        }
        let of_subject = by_subject.get(&subject).map_or(0, Vec::len);
        if of_subject >= max_per_subject {
            return Err(SubscribeError::SubjectFull);
        }
        let changed = Arc::new(Notify::new());
        by_subject.entry(subject).or_default().push(Arc::clone(&changed));
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Subscription { subscriptions: Arc::clone(self), subject, changed })
    }

    /// Wakes the subject's subscriptions. To be called once a lookup would find the change. A subscriber whose first
    /// lookup missed the change has subscribed before: that lookup took the lock of the subject's entry before the
    /// caller did, so `open` is seen here.
    pub fn wake(&self, subject: SubjectId) {
        if self.open() > 0
            && let Some(subscribed) = self.by_subject.lock().get(&subject)
        {
            subscribed.iter().for_each(|changed| changed.notify_one());
        }
    }

    /// Ends every subscription, and refuses new ones.
    pub fn close(&self) {
        let by_subject = self.by_subject.lock();
        self.closed.store(true, Ordering::Relaxed);
        by_subject.values().flatten().for_each(|changed| changed.notify_one());
    }
}

impl Subscription {
    /// Waits until a change was admitted since the last call, or the subscription has ended.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the subscription has ended because the process stops.
    pub fn is_closed(&self) -> bool {
        self.subscriptions.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut by_subject = self.subscriptions.by_subject.lock();
        if let Entry::Occupied(mut subscribed) = by_subject.entry(self.subject) {
            subscribed.get_mut().retain(|changed| !Arc::ptr_eq(changed, &self.changed));
            if subscribed.get().is_empty() {
                subscribed.remove();
            }
        }
        self.subscriptions.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    fn is_woken(subscription: &Subscription) -> bool {
        subscription.changed().now_or_never().is_some()
    }

    #[test]
    fn a_change_wakes_the_subscriptions_of_its_subject_and_no_other() {
        let subscriptions = Arc::new(Subscriptions::default());
        let [first, second, other] = [1, 1, 2].map(|n| subscriptions.subscribe(subject(n), 10, 2).unwrap());
        for _ in 0..3 {
            subscriptions.wake(subject(1));
        }
        assert_eq!([&first, &second, &other].map(is_woken), [true, true, false]);
        assert!(!is_woken(&first), "once for three changes");
        drop(first);
        subscriptions.wake(subject(1));
        assert!(is_woken(&second));
    }

    #[test]
    fn the_number_of_subscriptions_is_limited_and_a_dropped_one_makes_room() {
        let subscriptions = Arc::new(Subscriptions::default());
        let subscribe = |n| subscriptions.subscribe(subject(n), 3, 2);
        let mut open = vec![subscribe(1).unwrap(), subscribe(1).unwrap()];
        assert_eq!(subscribe(1).err(), Some(SubscribeError::SubjectFull));
        open.push(subscribe(2).unwrap());
        assert_eq!(subscribe(3).err(), Some(SubscribeError::Full));
        open.clear();
        assert_eq!((subscriptions.open(), subscriptions.by_subject.lock().len()), (0, 0));
        let last = subscribe(3).unwrap();
        subscriptions.close();
        assert!(is_woken(&last) && last.is_closed());
        assert_eq!(subscribe(4).err(), Some(SubscribeError::Full));
    }
}
