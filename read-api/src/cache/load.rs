//! A load: fills the cache with a subject's view, from the disk tier or the store, once however many requests wait for
//! it.

use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument;
use yima_schema::subject::SubjectId;
use yima_service::http::deadline;
use yima_store::span;

use super::ViewCache;
use super::disk::Disk;
use super::entry::Entry;
use super::guarded_store::{LoadError, load_error};
use super::single_flight::{Demand, Flight, Loaded, Origin};

impl ViewCache {
    /// Starts a load of the subject or joins the one under way, which may have begun from another origin.
    pub(super) fn load(self: &Arc<Self>, subject: SubjectId, from: Origin) -> Flight {
        self.load_many(&[subject], from).pop().expect("one flight for one subject")
    }

    /// The same for many subjects, in their order. Subjects that no load is under way for share one load with one call
    /// of the store.
    pub(super) fn load_many(self: &Arc<Self>, subjects: &[SubjectId], from: Origin) -> Vec<Flight> {
        let cache = Arc::clone(self);
        let fill = |subjects, demand| async move { cache.fill(subjects, from, demand).await };
        self.single_flight.join_or_start(subjects, deadline::current(), fill)
    }

    async fn fill(self: Arc<Self>, subjects: Vec<SubjectId>, from: Origin, demand: Arc<Demand>) -> Vec<Loaded> {
        let mut found = vec![None; subjects.len()];
        if from != Origin::Store {
            // A lookup that missed before another load of the subject ended starts this one after it; that load's entry
            // is in memory.
            let in_memory = subjects.iter().map(|subject| self.tiers.get(*subject));
            found = in_memory.map(|entry| entry.map(|entry| (entry, Origin::Memory))).collect();
            if let Some(disk) = self.tiers.disk() {
                let mut on_disk = self.fill_from_disk(disk, missing(&subjects, &found)).await.into_iter();
                for place in found.iter_mut().filter(|found| found.is_none()) {
                    *place = on_disk.next().flatten().map(|entry| (entry, Origin::Disk));
                }
            }
        }
        let mut loaded = self.fill_from_store(missing(&subjects, &found), &demand).await.into_iter();
        let mut next = || loaded.next().unwrap_or(Err(LoadError::Corrupt)).map(|entry| (entry, Origin::Store));
        found.into_iter().map(|found| found.map_or_else(&mut next, Ok)).collect()
    }

    async fn fill_from_disk(self: &Arc<Self>, disk: Arc<Disk>, subjects: Vec<SubjectId>) -> Vec<Option<Arc<Entry>>> {
        let (cache, count, start) = (Arc::clone(self), subjects.len(), Instant::now());
        let read = tokio::task::spawn_blocking(move || {
            subjects.into_iter().map(|subject| cache.tiers.admit_from_disk(&disk, subject)).collect()
        });
        let found = read.instrument(span!("read_disk_tier", subjects = count)).await;
        self.times.record_disk(start);
        found.unwrap_or_else(|_| vec![None; count])
    }

    /// Results are in the order of the subjects.
    async fn fill_from_store(
        self: &Arc<Self>,
        subjects: Vec<SubjectId>,
        demand: &Demand,
    ) -> Vec<Result<Arc<Entry>, LoadError>> {
        if subjects.is_empty() {
            return Vec::new();
        }
        // Before the store is read: what is acknowledged meanwhile may be missing in what it returns.
        let provenance = self.progress.provenance(self.progress.earlier_clock((self.clock)()));
        let start = Instant::now();
        let found = self.store.lookup(&subjects, Some(demand)).await;
        self.times.record_store(start);
        let views = match found {
            Ok(views) => views,
            Err(error) => return vec![Err(error); subjects.len()],
        };
        let entry = |(subject, view): (&SubjectId, _)| {
            Entry::new(*subject, view, provenance).map(Arc::new).map_err(|error| load_error(&error))
        };
        let entries: Vec<_> = subjects.iter().zip(views).map(entry).collect();
        let admitted = entries.clone();
        self.run_blocking(move |cache| {
            for (subject, entry) in subjects.into_iter().zip(admitted) {
                if let Ok(entry) = entry {
                    cache.tiers.admit_load(subject, entry);
                }
            }
        })
        .await;
        entries
    }

    /// Runs work that may wait for the disk tier on a thread that may block, or at once without a disk tier. A panic of
    /// the work continues in the caller.
    pub(super) async fn run_blocking(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        if !self.tiers.has_disk() {
            return work(self);
        }
        let cache = Arc::clone(self);
        if let Err(error) = tokio::task::spawn_blocking(move || work(&cache)).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// The subjects for which nothing was found yet.
fn missing<T>(subjects: &[SubjectId], found: &[Option<T>]) -> Vec<SubjectId> {
    subjects.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(subject, _)| *subject).collect()
}
