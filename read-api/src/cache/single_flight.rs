//! Single flight: one load per subject at a time, however many requests wait for it. A request that is cancelled does
//! not end its load.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::Instrument;
use yima_schema::subject::SubjectId;

use super::entry::Entry;
use super::guarded_store::LoadError;

/// Where a load begins, and where its entry came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The memory tier: another load ended after the lookup missed and before this load began.
    Memory,
    /// The disk tier.
    Disk,
    /// The store.
    Store,
}

/// The result of a load.
pub(super) type Loaded = Result<(Arc<Entry>, Origin), LoadError>;

/// The future result of a load under way; any number of requests may wait for it.
pub(super) type Waiter = Shared<BoxFuture<'static, Loaded>>;

/// A load that a request waits for.
pub(super) struct Flight {
    pub waiter: Waiter,
    /// Whether the load was under way before, started by another request.
    pub joined: bool,
}

/// The loads under way, by subject.
#[derive(Default)]
pub(super) struct SingleFlight {
    flights: Mutex<HashMap<SubjectId, Waiter>>,
}

impl SingleFlight {
    /// Number of loads under way.
    pub fn count(&self) -> usize {
        self.flights.lock().len()
    }

    /// Whether a load of the subject is under way.
    pub fn contains(&self, subject: SubjectId) -> bool {
        self.flights.lock().contains_key(&subject)
    }

    /// Joins the loads of these subjects that are under way, and starts `load` for all others as one task. Flights are
    /// in the order of the subjects.
    pub fn join_or_start<F>(
        self: &Arc<Self>,
        subjects: &[SubjectId],
        load: impl FnOnce(Vec<SubjectId>) -> F,
    ) -> Vec<Flight>
    where
        F: Future<Output = Vec<Loaded>> + Send + 'static,
    {
        let (mut started, mut senders) = (Vec::new(), Vec::new());
        let mut under_way = self.flights.lock();
        let mut join = |subject: &SubjectId| {
            if let Some(waiter) = under_way.get(subject) {
                return Flight { waiter: waiter.clone(), joined: true };
            }
            let (sender, receiver) = oneshot::channel();
            // The task always sends a result, unless it panics; waiting requests then get an error.
            let waiter = receiver.map(|loaded| loaded.unwrap_or(Err(LoadError::Unavailable))).boxed().shared();
            under_way.insert(*subject, waiter.clone());
            started.push(*subject);
            senders.push(sender);
            Flight { waiter, joined: false }
        };
        let flights = subjects.iter().map(&mut join).collect();
        drop(under_way);
        if started.is_empty() {
            return flights;
        }
        let registered = Registered { single_flight: Arc::clone(self), subjects: started.clone() };
        let load = load(started);
        let work = async move {
            let loaded = load.await;
            drop(registered); // before the results are sent: a request that comes after them starts a load of its own
            for (sender, loaded) in senders.into_iter().zip(loaded) {
                let _ = sender.send(loaded); // every waiting request may have been cancelled
            }
        };
        tokio::spawn(work.in_current_span());
        flights
    }
}

/// The flights of one load in the table. Dropping it removes them, also when the load panics.
struct Registered {
    single_flight: Arc<SingleFlight>,
    subjects: Vec<SubjectId>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut flights = self.single_flight.flights.lock();
        for subject in &self.subjects {
            flights.remove(subject);
        }
    }
}
