//! Lookups: an answer from memory, disk or the store, given only after its freshness was judged.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;
use tracing::field::Empty;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::span;

use super::ViewCache;
use super::entry::Entry;
use super::freshness::{Freshness, FreshnessInputs, judge};
use super::guarded_store::LoadError;
use super::outcome::{Outcome, PendingOutcome};
use super::single_flight::{Flight, Origin};

/// An answer of the cache.
pub struct Answer {
    /// The view, or its proved absence.
    pub entry: Arc<Entry>,
    /// The moment of which the answer is true: everything acknowledged before is in it.
    pub as_of: Time,
    /// Whether `as_of` is within `max_lag` and nothing was missed since.
    pub fresh: bool,
    /// How the lookup was answered.
    pub outcome: Outcome,
}

/// Why a lookup has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// The store cannot answer, and the cache has nothing to serve.
    Unavailable,
    /// The cached and the stored version are below the newest known one, or below the floor.
    BeingUpdated,
    /// The store refuses the call, and the cache has nothing to serve. Needs an operator.
    Rejected,
    /// The stored view cannot be decoded. Needs an operator.
    Corrupt,
}

/// How often a stale entry is refreshed in the background, at most.
const REVALIDATE_EVERY: Duration = Duration::from_secs(5);
/// Loads for one answer: from the disk tier, from the store, and once more for a change that came meanwhile.
const MAX_LOADS: usize = 3;

impl ViewCache {
    /// The answer from memory, if there is one that may be served to a client with this `floor`: the version it was
    /// shown before. Counts nothing: follow it by `record_hit`, or by [`Self::get`] instead.
    ///
    /// The hot path: no allocation, and one lock, that of the entry's shard in memory. The entry in memory is the
    /// newest version known at that moment, since whatever raises the ledger replaces or removes it under the ledger's
    /// lock; so the ledger need not be read. The proof is read before the entry: the changes of a poll are in memory
    /// before the poll ends.
    pub fn peek(&self, subject: SubjectId, floor: Version, now: Time) -> Option<Answer> {
        let generations = self.progress.generations();
        let entry = self.times.memory(|| self.tiers.get(subject))?;
        let outcome = hit(&entry);
        let provenance = entry.provenance();
        let (newest, proof) = (provenance.version, generations.proof(provenance.generation));
        self.judge(entry, FreshnessInputs { newest, proof, floor, just_loaded: false }, now, outcome)
    }

    /// Records the hit and, if the answer is stale, refreshes it in the background.
    pub(crate) fn record_hit(self: &Arc<Self>, subject: SubjectId, answer: Answer, now: Time) -> Answer {
        self.outcomes.count(answer.outcome);
        self.refresh_in_background(subject, &answer, now);
        answer
    }

    /// The answer from memory, disk or the store.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn get(self: &Arc<Self>, subject: SubjectId, floor: Version) -> Result<Answer, LookupError> {
        let now = (self.clock)();
        match self.peek(subject, floor, now) {
            Some(answer) => Ok(self.record_hit(subject, answer, now)),
            None => {
                let loaded = async { self.answer_from(self.load(subject, Origin::Disk), subject, floor).await };
                loaded.instrument(span!("look_up_view", cache.outcome = Empty)).await
            }
        }
    }

    /// The answers about many subjects, each with its floor, in the order given: from memory, and all others from one
    /// call of the store.
    pub async fn get_many(self: &Arc<Self>, lookups: &[(SubjectId, Version)]) -> Vec<Result<Answer, LookupError>> {
        self.look_up_many(lookups).instrument(span!("look_up_views", subjects = lookups.len())).await
    }

    async fn look_up_many(self: &Arc<Self>, lookups: &[(SubjectId, Version)]) -> Vec<Result<Answer, LookupError>> {
        let now = (self.clock)();
        let hits: Vec<_> = lookups.iter().map(|(subject, floor)| self.peek(*subject, *floor, now)).collect();
        let misses: Vec<_> =
            lookups.iter().zip(&hits).filter(|(_, hit)| hit.is_none()).map(|(lookup, _)| lookup.0).collect();
        let mut flights = self.load_many(&misses, Origin::Disk).into_iter();
        let answers = lookups.iter().zip(hits).map(|((subject, floor), hit)| {
            let found = hit.ok_or_else(|| flights.next().expect("a flight for each miss"));
            async move {
                match found {
                    Ok(answer) => Ok(self.record_hit(*subject, answer, now)),
                    Err(flight) => self.answer_from(flight, *subject, *floor).await,
                }
            }
        });
        futures::future::join_all(answers).await
    }

    /// The answer from a load, or from a later one if the loaded entry may not be served.
    async fn answer_from(
        self: &Arc<Self>,
        mut flight: Flight,
        subject: SubjectId,
        floor: Version,
    ) -> Result<Answer, LookupError> {
        let mut pending = self.outcomes.pending();
        let is_superseded = |entry: &Entry| entry.version() < floor.max(self.tiers.newest(subject));
        let mut superseded = self.tiers.get(subject).is_some_and(|entry| is_superseded(&entry));
        for attempt in 0..MAX_LOADS {
            if attempt > 0 {
                flight = self.load(subject, Origin::Store);
            }
            let landed = flight.landed().await;
            let (entry, origin) = landed.map_err(|error| lookup_error(error, superseded, &mut pending))?;
            let outcome = match (origin, flight.joined) {
                (Origin::Memory, _) => hit(&entry),
                (Origin::Disk, _) => Outcome::HitDisk,
                (Origin::Store, true) => Outcome::Coalesced,
                (Origin::Store, false) => Outcome::Miss,
            };
            let now = (self.clock)();
            superseded |= is_superseded(&entry);
            if let Some(answer) = self.judge_loaded(entry, subject, floor, now, outcome) {
                pending.outcome = answer.outcome;
                self.refresh_in_background(subject, &answer, now);
                return Ok(answer);
            }
        }
        Err(LookupError::BeingUpdated)
    }

    /// The answer from the store, whatever is cached: from a load that began after this call. If the store cannot
    /// answer, the answer of [`Self::get`].
    ///
    /// # Errors
    /// See [`LookupError`].
    pub(crate) async fn bypass(self: &Arc<Self>, subject: SubjectId, floor: Version) -> Result<Answer, LookupError> {
        self.bypass_lookup(subject, floor).instrument(span!("look_up_view", cache.outcome = Empty)).await
    }

    async fn bypass_lookup(self: &Arc<Self>, subject: SubjectId, floor: Version) -> Result<Answer, LookupError> {
        let mut pending = self.outcomes.pending();
        for attempt in 0..MAX_LOADS {
            let flight = self.load(subject, Origin::Store);
            let Ok((entry, origin)) = flight.landed().await else { break };
            let began_before = flight.joined && attempt == 0;
            if began_before || origin != Origin::Store {
                continue;
            }
            if let Some(answer) = self.judge_loaded(entry, subject, floor, (self.clock)(), Outcome::Bypass) {
                pending.outcome = answer.outcome;
                return Ok(answer);
            }
        }
        pending.discard();
        self.get(subject, floor).await
    }

    /// Judges a loaded entry: a newer version may have become known since the load began.
    fn judge_loaded(
        &self,
        entry: Arc<Entry>,
        subject: SubjectId,
        floor: Version,
        now: Time,
        outcome: Outcome,
    ) -> Option<Answer> {
        // The proof is read before the ledger: a poll that ends between the two has raised the ledger first.
        let proof = self.progress.generations().proof(entry.provenance().generation);
        let just_loaded = matches!(outcome, Outcome::Miss | Outcome::Coalesced | Outcome::Bypass);
        let inputs = FreshnessInputs { newest: self.tiers.newest(subject), proof, floor, just_loaded };
        self.judge(entry, inputs, now, outcome)
    }

    fn judge(&self, entry: Arc<Entry>, inputs: FreshnessInputs, now: Time, outcome: Outcome) -> Option<Answer> {
        match judge(entry.provenance(), inputs, **self.bounds.load(), now) {
            Freshness::Fresh { as_of } => Some(Answer { entry, as_of, fresh: true, outcome }),
            Freshness::Stale { as_of } => {
                // An entry that was just loaded from the store counts as a miss all the same.
                let outcome = if inputs.just_loaded { outcome } else { Outcome::Stale };
                Some(Answer { entry, as_of, fresh: false, outcome })
            }
            Freshness::MustLoad => None,
        }
    }

    fn refresh_in_background(self: &Arc<Self>, subject: SubjectId, answer: &Answer, now: Time) {
        // Without a database every entry is stale before long: a load for each answer would double what it costs.
        if answer.outcome == Outcome::Stale
            && !self.store.refuses()
            && answer.entry.may_revalidate(now, REVALIDATE_EVERY)
            && !self.single_flight.contains(subject)
        {
            self.outcomes.count(Outcome::Revalidated);
            // The next lookup finds its entry.
            self.load(subject, Origin::Store).detach();
        }
    }
}

/// The outcome of an answer from memory.
fn hit(entry: &Entry) -> Outcome {
    if entry.is_absent() { Outcome::Negative } else { Outcome::HitMemory }
}

fn lookup_error(error: LoadError, superseded: bool, pending: &mut PendingOutcome<'_>) -> LookupError {
    match error {
        LoadError::Throttled => pending.outcome = Outcome::Throttled,
        LoadError::Unavailable | LoadError::Rejected | LoadError::Corrupt => {}
    }
    match error {
        LoadError::Unavailable | LoadError::Throttled if superseded => LookupError::BeingUpdated,
        LoadError::Unavailable | LoadError::Throttled => LookupError::Unavailable,
        LoadError::Rejected => LookupError::Rejected,
        LoadError::Corrupt => LookupError::Corrupt,
    }
}
