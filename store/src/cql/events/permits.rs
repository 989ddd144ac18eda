//! Bounds the new events of one subject that this process writes at a time. Appends count a subject's events before
//! they write, without a lock: those of other processes that are under way are not counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;

/// Events of one subject under way in a process.
pub(super) const EVENTS: usize = 250;
/// Subjects above which those without appends under way are forgotten.
const IDLE_SUBJECTS: usize = 16_384;

/// The permits of each subject.
#[derive(Default)]
pub(in crate::cql) struct SubjectPermits(Mutex<HashMap<SubjectId, Arc<Semaphore>>>);

impl SubjectPermits {
    /// Waits until the events may be decided. In the order of subjects, so that two appends do not wait for each other.
    pub(in crate::cql) async fn acquire(&self, events: &[StoredEvent]) -> Vec<OwnedSemaphorePermit> {
        let mut counts: BTreeMap<SubjectId, usize> = BTreeMap::new();
        events.iter().for_each(|event| *counts.entry(event.event.subject).or_default() += 1);
        let mut permits = Vec::with_capacity(counts.len());
        for (subject, count) in counts {
            // A transaction may have more: it is alone then.
            let count = count.min(EVENTS) as u32;
            let acquired = self.of(subject).acquire_many_owned(count).await;
            permits.push(acquired.expect("the semaphore is never closed"));
        }
        permits
    }

    fn of(&self, subject: SubjectId) -> Arc<Semaphore> {
        let mut subjects = self.0.lock();
        if subjects.len() > IDLE_SUBJECTS {
            // Permits and those that wait for one hold a clone.
            subjects.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        Arc::clone(subjects.entry(subject).or_insert_with(|| Arc::new(Semaphore::new(EVENTS))))
    }
}

/// Cuts events into rounds, each with at most [`EVENTS`] of one subject; every round counts what the one before wrote.
pub(in crate::cql) fn rounds(events: Vec<StoredEvent>) -> Vec<Vec<StoredEvent>> {
    let mut rounds = vec![Vec::with_capacity(events.len())];
    let mut counts: HashMap<SubjectId, usize> = HashMap::new();
    for event in events {
        let count = counts.entry(event.event.subject).or_default();
        if *count == EVENTS {
            counts.clear();
            rounds.push(Vec::new());
        }
        *counts.entry(event.event.subject).or_default() += 1;
        rounds.last_mut().expect("there is always one").push(event);
    }
    rounds
}
