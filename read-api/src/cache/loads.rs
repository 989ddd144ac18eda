//! Loads: one per subject at a time however many wait, bounded in all; a waiter that goes away does not end it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use yima_schema::subject::SubjectId;

use super::entry::Entry;

/// Why a load gave nothing. Shared by all who waited, never cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// The store cannot answer now, or too many loads are waiting for it.
    Unavailable,
    /// The store's answer cannot be read.
    Corrupt,
}

type Loaded = Result<Arc<Entry>, LoadError>;

/// Loads under way.
pub struct Loads {
    under_way: Mutex<HashMap<SubjectId, Shared<BoxFuture<'static, Loaded>>>>,
    permits: Semaphore,
    queue: Semaphore,
    timeout: Duration,
}

impl Loads {
    /// At most `concurrent` loads in the store at once and `queued` waiting; each has `timeout`.
    pub fn new(concurrent: usize, queued: usize, timeout: Duration) -> Self {
        Self {
            under_way: Mutex::default(),
            permits: Semaphore::new(concurrent),
            queue: Semaphore::new(concurrent + queued),
            timeout,
        }
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Whether a load of that subject is under way.
    pub fn contains(&self, subject: SubjectId) -> bool {
        self.under_way.lock().contains_key(&subject)
    }

    /// Joins the subject's load, or starts `load` as a task of its own. The flag says whether it was joined.
    pub fn join_or_start<F>(
        self: &Arc<Self>,
        subject: SubjectId,
        load: F,
    ) -> (impl Future<Output = Loaded> + use<F>, bool)
    where
        F: Future<Output = Loaded> + Send + 'static,
    {
        let mut under_way = self.under_way.lock();
        if let Some(joined) = under_way.get(&subject) {
            return (joined.clone(), true);
        }
        let (answer, waiters) = oneshot::channel();
        // The task answers always, unless it panics; then its waiters are told that nothing came.
        let waiters = waiters.map(|answer| answer.unwrap_or(Err(LoadError::Unavailable))).boxed().shared();
        under_way.insert(subject, waiters.clone());
        drop(under_way);
        let entered = Entered { loads: Arc::clone(self), subject };
        tokio::spawn(async move {
            let loaded = entered.loads.bounded(load).await;
            drop(entered); // before the answer: whoever comes after it starts a load of their own
            let _ = answer.send(loaded); // nobody may be waiting any more
        });
        (waiters, false)
    }

    async fn bounded(&self, load: impl Future<Output = Loaded>) -> Loaded {
        let Ok(_place) = self.queue.try_acquire() else { return Err(LoadError::Unavailable) };
        let within = tokio::time::timeout(self.timeout, async {
            let _permit = self.permits.acquire().await.map_err(|_| LoadError::Unavailable)?;
            load.await
        });
        within.await.unwrap_or(Err(LoadError::Unavailable))
    }
}

/// A place in the table, given up also when the load panics.
struct Entered {
    loads: Arc<Loads>,
    subject: SubjectId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.loads.under_way.lock().remove(&self.subject);
    }
}
