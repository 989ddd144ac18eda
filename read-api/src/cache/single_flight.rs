//! Single flight: one load per subject at a time, however many requests wait for it. A load knows how many wait, and
//! until when.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
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

/// The requests that wait for a load.
#[derive(Clone, Copy)]
struct Waiting {
    requests: usize,
    /// The latest of their deadlines; `None`: one has none.
    until: Option<Instant>,
}

/// A load that a request waits for, until this is dropped.
pub(super) struct Flight {
    result: Shared<BoxFuture<'static, Loaded>>,
    waiting: Arc<watch::Sender<Waiting>>,
    /// Whether the load was under way before, started by another request.
    pub joined: bool,
}

impl Flight {
    /// The result.
    pub async fn landed(&self) -> Loaded {
        self.result.clone().await
    }

    /// Lets the load go on for the next lookup, though nobody waits for it.
    pub fn detach(self) {
        self.waiting.send_modify(|waiting| *waiting = Waiting { requests: waiting.requests + 1, until: None });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| waiting.requests -= 1);
    }
}

/// What the table has of a load, for requests that join it.
#[derive(Clone)]
struct Joinable {
    result: Shared<BoxFuture<'static, Loaded>>,
    waiting: Arc<watch::Sender<Waiting>>,
}

impl Joinable {
    /// To be called with the table locked, so that no load is left while it is joined.
    fn join(self, until: Option<Instant>, joined: bool) -> Flight {
        let later = |before: Option<Instant>| before.zip(until).map(|(before, until)| before.max(until));
        self.waiting.send_modify(|waiting| {
            let until = if waiting.requests == 0 { until } else { later(waiting.until) };
            *waiting = Waiting { requests: waiting.requests + 1, until };
        });
        Flight { result: self.result, waiting: self.waiting, joined }
    }
}

/// The loads under way, by subject.
#[derive(Default)]
pub(super) struct SingleFlight {
    flights: Mutex<HashMap<SubjectId, Joinable>>,
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

    /// Joins the loads of these subjects that are under way, and starts `load` for all others as one task. The request
    /// waits until `until` at most. Flights are in the order of the subjects.
    pub fn join_or_start<F>(
        self: &Arc<Self>,
        subjects: &[SubjectId],
        until: Option<Instant>,
        load: impl FnOnce(Vec<SubjectId>, Arc<Demand>) -> F,
    ) -> Vec<Flight>
    where
        F: Future<Output = Vec<Loaded>> + Send + 'static,
    {
        let (mut started, mut senders) = (Vec::new(), Vec::new());
        let waiting = Arc::new(watch::Sender::new(Waiting { requests: 0, until: None }));
        let mut under_way = self.flights.lock();
        let mut join = |subject: &SubjectId| {
            if let Some(flight) = under_way.get(subject) {
                return flight.clone().join(until, true);
            }
            let (sender, receiver) = oneshot::channel();
            // The task always sends a result, unless it panics; waiting requests then get an error.
            let result = receiver.map(|loaded| loaded.unwrap_or(Err(LoadError::Unavailable))).boxed().shared();
            let flight = Joinable { result, waiting: Arc::clone(&waiting) };
            under_way.insert(*subject, flight.clone());
            started.push(*subject);
            senders.push(sender);
            flight.join(until, false)
        };
        let flights = subjects.iter().map(&mut join).collect();
        drop(under_way);
        if started.is_empty() {
            return flights;
        }
        let demand = Arc::new(Demand {
            single_flight: Arc::clone(self),
            subjects: started.clone(),
            waiting,
            is_listed: AtomicBool::new(true),
        });
        let load = load(started, Arc::clone(&demand));
        let work = async move {
            let loaded = load.await;
            drop(demand); // before the results are sent: a request that comes after them starts a load of its own
            for (sender, loaded) in senders.into_iter().zip(loaded) {
                let _ = sender.send(loaded); // every waiting request may have been cancelled
            }
        };
        tokio::spawn(work.in_current_span());
        flights
    }
}

/// The demand for a load under way, by which its task sees whether it is still wanted. The load is in the table until
/// this is dropped, also when the load panics, or until the demand is over.
pub(super) struct Demand {
    single_flight: Arc<SingleFlight>,
    subjects: Vec<SubjectId>,
    waiting: Arc<watch::Sender<Waiting>>,
    /// Whether the load is in the table, under the table's lock.
    is_listed: AtomicBool,
}

impl Demand {
    /// Resolves once no request waits. From then on none joins the load, so its task may end without a result.
    pub async fn ceased(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            // Without an error: the sender is a field of this.
            let _ = waiting.wait_for(|waiting| waiting.requests == 0).await;
            if self.end_if(|waiting| waiting.requests == 0) {
                return;
            }
        }
    }

    /// Resolves once the latest deadline of the requests is over, likewise.
    pub async fn expired(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            let until = waiting.borrow_and_update().until;
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => if self.end_if(|waiting| waiting.until == until) { return },
                _ = waiting.changed() => {}
            }
        }
    }

    fn end_if(&self, is_over: impl FnOnce(&Waiting) -> bool) -> bool {
        let mut flights = self.single_flight.flights.lock();
        let is_over = is_over(&self.waiting.borrow());
        if is_over {
            self.leave(&mut flights);
        }
        is_over
    }

    fn leave(&self, flights: &mut HashMap<SubjectId, Joinable>) {
        // After that the subjects may be those of other loads.
        if self.is_listed.swap(false, Ordering::Relaxed) {
            self.subjects.iter().for_each(|subject| drop(flights.remove(subject)));
        }
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.leave(&mut self.single_flight.flights.lock());
    }
}
