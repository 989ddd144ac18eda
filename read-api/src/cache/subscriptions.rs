//! Who wants to know at once what is learned of a subject: the streams that are open, a few of each person.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use yima_schema::subject::SubjectId;

/// See the module.
#[derive(Default)]
pub(super) struct Subscriptions {
    by_subject: Mutex<HashMap<SubjectId, Vec<Arc<Notify>>>>,
    /// As many as are in there, so that as long as nobody watches the feed takes no lock for it.
    open: AtomicUsize,
    closed: AtomicBool,
}

/// Why nobody may watch any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SubscribeError {
    /// As many watch as may, or the process stops.
    Full,
    /// As many watch this subject as may.
    Person,
}

/// One who watches a subject, until it is dropped.
pub(crate) struct Subscription {
    watchers: Arc<Subscriptions>,
    subject: SubjectId,
    woken: Arc<Notify>,
}

impl Subscriptions {
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whatever is learned of the subject from now on wakes the watcher, once for all that it has not looked at yet.
    pub fn watch(
        self: &Arc<Self>,
        subject: SubjectId,
        max_open: usize,
        max_per_person: usize,
    ) -> Result<Subscription, SubscribeError> {
        let mut by_subject = self.by_subject.lock();
        if self.closed.load(Ordering::Relaxed) || self.open() >= max_open {
            return Err(SubscribeError::Full);
        }
        let of_subject = by_subject.get(&subject).map_or(0, Vec::len);
        if of_subject >= max_per_person {
            return Err(SubscribeError::Person);
        }
        let woken = Arc::new(Notify::new());
        by_subject.entry(subject).or_default().push(Arc::clone(&woken));
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Subscription { watchers: Arc::clone(self), subject, woken })
    }

    /// To be called after what was learned can be looked up. Whoever began to watch before that look-up would have missed it is seen here: the
    /// lock of what is looked up has been held by them, then by the caller.
    pub fn wake(&self, subject: SubjectId) {
        if self.open() > 0
            && let Some(watching) = self.by_subject.lock().get(&subject)
        {
            watching.iter().for_each(|woken| woken.notify_one());
        }
    }

    /// Ends every watch, and lets nobody watch any more.
    pub fn close(&self) {
        let by_subject = self.by_subject.lock();
        self.closed.store(true, Ordering::Relaxed);
        by_subject.values().flatten().for_each(|woken| woken.notify_one());
    }
}

impl Subscription {
    /// Waits until something was learned since this was called last, or the watch has ended.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Whether the process stops.
    pub fn is_over(&self) -> bool {
        self.watchers.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut by_subject = self.watchers.by_subject.lock();
        if let Entry::Occupied(mut watching) = by_subject.entry(self.subject) {
            watching.get_mut().retain(|woken| !Arc::ptr_eq(woken, &self.woken));
            if watching.get().is_empty() {
                watching.remove();
            }
        }
        self.watchers.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    fn is_woken(watcher: &Subscription) -> bool {
        watcher.woken().now_or_never().is_some()
    }

    #[test]
    fn those_who_watch_a_subject_are_woken_and_nobody_else() {
        let watchers = Arc::new(Subscriptions::default());
        let [first, second, other] = [1, 1, 2].map(|n| watchers.watch(subject(n), 10, 2).unwrap());
        for _ in 0..3 {
            watchers.wake(subject(1));
        }
        assert_eq!([&first, &second, &other].map(is_woken), [true, true, false]);
        assert!(!is_woken(&first), "once for all");
        drop(first);
        watchers.wake(subject(1));
        assert!(is_woken(&second));
    }

    #[test]
    fn there_is_room_for_some_and_it_is_given_back() {
        let watchers = Arc::new(Subscriptions::default());
        let watch = |n| watchers.watch(subject(n), 3, 2);
        let mut held = vec![watch(1).unwrap(), watch(1).unwrap()];
        assert_eq!(watch(1).err(), Some(SubscribeError::Person));
        held.push(watch(2).unwrap());
        assert_eq!(watch(3).err(), Some(SubscribeError::Full));
        held.clear();
        assert_eq!((watchers.open(), watchers.by_subject.lock().len()), (0, 0));
        let last = watch(3).unwrap();
        watchers.close();
        assert!(is_woken(&last) && last.is_over());
        assert_eq!(watch(4).err(), Some(SubscribeError::Full));
    }
}
