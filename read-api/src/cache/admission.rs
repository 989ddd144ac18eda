//! How the tiers come by what they hold: rows of the feed, loads from the store, and what the disk tier brings back.
//!
//! One way in: under the admission lock of the subject, what was learned is compared with what is known, written to the disk tier and put
//! into the memory tier. Nothing older ever replaces something newer, in either.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::Instrument;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::{VersionedView, span};

use super::ViewCache;
use super::disk::{Disk, DiskError, State};
use super::entry::Entry;
use super::freshness::Provenance;
use super::single_flight::{LoadError, Origin, Waiter, load_error};

impl ViewCache {
    /// What a feed row said. Replaces what memory holds of the subject and goes to disk in any case. Of a row that cannot be read only the
    /// version is noted, so that its subject is loaded.
    pub fn apply(&self, subject: SubjectId, found: VersionedView) {
        // True of the last complete poll, no later: of two rows about the subject this may be the first. The poll's end says more.
        let held = self.held_from(self.polled_at());
        let version = found.version;
        let entry = Entry::new(subject, Some(found), held)
            .inspect_err(|fault| tracing::error!(%fault, "a row of the feed cannot be read"));
        let held = Provenance { version, ..held };
        let _one_at_a_time = self.ledger.admission(subject);
        if !self.raise_on_disk(subject, held, entry.as_ref().ok()) {
            return;
        }
        self.ledger.raise(subject, version, || match entry {
            Ok(entry) if self.memory.contains(subject) => self.memory.put(subject, Arc::new(entry)),
            Ok(_) => {}
            Err(_) => self.memory.remove(subject),
        });
        self.watchers.wake(subject);
    }

    /// Starts a load of the subject or joins the one under way, which may be of another kind. The flag says whether it was joined.
    pub(super) fn load(self: &Arc<Self>, subject: SubjectId, from: Origin) -> (Waiter, bool) {
        self.load_many(&[subject], from).pop().expect("as many as were asked for")
    }

    /// The same for many, in the order asked: what is not under way is one load with one call of the store.
    pub(super) fn load_many(self: &Arc<Self>, subjects: &[SubjectId], from: Origin) -> Vec<(Waiter, bool)> {
        let views = Arc::clone(self);
        self.loads.join_or_start(subjects, |subjects| async move {
            let mut found = vec![None; subjects.len()];
            if from != Origin::Store {
                // Whoever looked there before a load of another's ended finds none under way, and what it brought here.
                let held = subjects.iter().map(|subject| views.memory.get(*subject));
                found = held.map(|held| held.map(|entry| (entry, Origin::Memory))).collect();
                if let Some(disk) = views.disk() {
                    let mut on_disk = views.look_on_disk(disk, missing(&subjects, &found)).await.into_iter();
                    for place in found.iter_mut().filter(|found| found.is_none()) {
                        *place = on_disk.next().flatten().map(|entry| (entry, Origin::Disk));
                    }
                }
            }
            let mut loaded = views.load_from_store(missing(&subjects, &found)).await.into_iter();
            let mut next = || loaded.next().unwrap_or(Err(LoadError::Corrupt)).map(|entry| (entry, Origin::Store));
            found.into_iter().map(|found| found.map_or_else(&mut next, Ok)).collect()
        })
    }

    async fn look_on_disk(self: &Arc<Self>, disk: Arc<Disk>, subjects: Vec<SubjectId>) -> Vec<Option<Arc<Entry>>> {
        let (views, asked) = (Arc::clone(self), subjects.len());
        let looked = tokio::task::spawn_blocking(move || {
            subjects.into_iter().map(|subject| views.take_from_disk(&disk, subject)).collect()
        });
        looked.instrument(span!("read_disk_tier", subjects = asked)).await.unwrap_or_else(|_| vec![None; asked])
    }

    fn take_from_disk(&self, disk: &Disk, subject: SubjectId) -> Option<Arc<Entry>> {
        let found = match disk.lookup(subject) {
            Ok(found) => found?,
            Err(fault) => {
                self.disk_errors.increment(1);
                tracing::error!(%fault, "the cache on disk cannot be read");
                return None;
            }
        };
        let entry = Entry::new(subject, Some(found.view), found.held)
            .inspect_err(|fault| tracing::error!(%fault, "the cache on disk holds what cannot be read"));
        let entry = Arc::new(entry.ok()?);
        let _one_at_a_time = self.ledger.admission(subject);
        self.ledger.raise(subject, found.held.version, || self.memory.put(subject, Arc::clone(&entry)));
        Some(entry)
    }

    /// In the order asked.
    async fn load_from_store(self: &Arc<Self>, subjects: Vec<SubjectId>) -> Vec<Result<Arc<Entry>, LoadError>> {
        let held = self.held_from(self.cautious_now()); // before the store is read
        let found = match *subjects {
            [] => return Vec::new(),
            [subject] => self.loads.ask(self.store.lookup(subject)).await.map(|found| vec![found]),
            _ => self.loads.ask(self.store.lookup_many(&subjects)).await,
        };
        let found = match found {
            Ok(found) => found,
            Err(fault) => return vec![Err(fault); subjects.len()],
        };
        let entry = |(subject, found): (&SubjectId, _)| {
            Entry::new(*subject, found, held).map(Arc::new).map_err(|fault| load_error(&fault))
        };
        let entries: Vec<_> = subjects.iter().zip(found).map(entry).collect();
        let admitted = entries.clone();
        self.with_disk(move |views| {
            for (subject, entry) in subjects.into_iter().zip(admitted) {
                if let Ok(entry) = entry {
                    views.admit(subject, entry);
                }
            }
        })
        .await;
        entries
    }

    fn admit(&self, subject: SubjectId, entry: Arc<Entry>) {
        let _one_at_a_time = self.ledger.admission(subject);
        if self.raise_on_disk(subject, entry.held, Some(&entry)) {
            self.ledger.raise(subject, entry.held.version, || self.memory.put(subject, entry));
        }
    }

    /// Writes what was learned to the disk tier. `false`: something newer is there, which is known now.
    fn raise_on_disk(&self, subject: SubjectId, held: Provenance, entry: Option<&Entry>) -> bool {
        if self.ledger.newest(subject) > held.version {
            return false;
        }
        let Some(disk) = self.disk() else { return true };
        match disk.raise(subject, held, entry.map(Entry::bytes)) {
            Ok(newest) if newest > held.version => {
                self.ledger.raise(subject, newest, || self.memory.remove(subject));
                false
            }
            Ok(_) => true,
            Err(fault) => {
                self.lose_disk(&fault);
                true
            }
        }
    }

    /// Notes on disk how far the feed has been followed, with everything that it told.
    pub(super) fn save(&self, state: &State) {
        if let Some(disk) = self.disk()
            && let Err(fault) = disk.save(state)
        {
            self.lose_disk(&fault);
        }
    }

    /// The version that a look would find here now, in whatever tier. Waits for the disk.
    pub(super) fn held_version(&self, subject: SubjectId) -> Version {
        if let Some(entry) = self.memory.get(subject) {
            return entry.held.version;
        }
        let found = self.disk().and_then(|disk| disk.lookup(subject).ok().flatten());
        found.map_or(Version::ABSENT, |found| found.held.version)
    }

    /// Does what may wait for the disk tier, if there is one, where that holds nobody up. A panic goes on here.
    pub(super) async fn with_disk(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        if !self.has_disk() {
            return work(self);
        }
        let views = Arc::clone(self);
        if let Err(fault) = tokio::task::spawn_blocking(move || work(&views)).await
            && fault.is_panic()
        {
            std::panic::resume_unwind(fault.into_panic());
        }
    }

    pub(super) fn disk(&self) -> Option<Arc<Disk>> {
        self.disk.load_full()
    }

    /// What could not be written is missing there from now on: nothing on it may be believed before it has been followed from where it
    /// stopped, at the next start.
    pub(super) fn lose_disk(&self, fault: &DiskError) {
        if self.disk.swap(None).is_some() {
            tracing::error!(%fault, "the cache on disk cannot be written: it is not used any more before the next start");
        }
    }

    /// What proves an entry that is read from now on.
    fn held_from(&self, loaded_at: Time) -> Provenance {
        Provenance { version: Version::ABSENT, generation: self.generations.load().current, loaded_at }
    }

    /// The present moment by the earlier of our clock and the store's.
    fn cautious_now(&self) -> Time {
        let ahead = self.ahead_ms.load(Ordering::Acquire).unsigned_abs();
        (self.clock)().minus(Duration::from_millis(ahead))
    }
}

/// Of whom nothing was found yet.
fn missing<T>(subjects: &[SubjectId], found: &[Option<T>]) -> Vec<SubjectId> {
    subjects.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(subject, _)| *subject).collect()
}
