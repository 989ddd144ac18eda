//! Looking somebody up: memory, disk, store, and the judgement of what was found.

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
use super::outcome::{Look, Outcome};
use super::single_flight::{LoadError, Origin, Waiter};

/// An answer of the cache.
pub struct Answer {
    /// The view, or its proved absence.
    pub entry: Arc<Entry>,
    /// The moment of which it is true: everything acknowledged before is in it.
    pub as_of: Time,
    /// Whether that moment is within `max_lag`, and nothing was missed since.
    pub fresh: bool,
    /// How it was come by.
    pub outcome: Outcome,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// The store cannot say.
    Unavailable,
    /// What is here or in the store is older than what is known to exist or was shown before.
    BeingUpdated,
    /// The store's answer cannot be read.
    Corrupt,
}

/// How often a stale entry is loaded behind, at most.
const REVALIDATE_EVERY: Duration = Duration::from_secs(5);
/// Loads for one answer: the disk's, the store's, and another for a change that came meanwhile.
const MAX_LOADS: usize = 3;

impl ViewCache {
    /// The answer from memory, if there is one that may be given. `client` is the version that the client was shown before. Nothing is
    /// counted: [`Self::record_hit`] it, or [`Self::get`] another.
    ///
    /// The hot path: no allocation, and one lock, that of the entry's shard in memory. What memory holds is the newest that is known at
    /// that moment, since whatever raises the ledger replaces or removes it under the ledger's lock; the ledger need not be asked. The
    /// proof is taken before: what a poll told is in memory before the poll ends.
    pub fn peek(&self, subject: SubjectId, client: Version, now: Time) -> Option<Answer> {
        let generations = self.generations.load();
        let entry = self.memory.get(subject)?;
        let hit = hit(&entry);
        let (newest, proof) = (entry.held.version, generations.proof(entry.held.generation));
        self.judge(entry, FreshnessInputs { newest, proof, client, just_read: false }, now, hit)
    }

    /// The end of a look that found `answer`: counts it, and loads behind it what is stale.
    pub fn record_hit(self: &Arc<Self>, subject: SubjectId, answer: Answer, now: Time) -> Answer {
        self.outcomes.count(answer.outcome);
        self.refresh_in_background(subject, &answer, now);
        answer
    }

    /// The answer from memory, disk or the store.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn get(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, LookupError> {
        let now = (self.clock)();
        match self.peek(subject, client, now) {
            Some(answer) => Ok(self.record_hit(subject, answer, now)),
            None => {
                let look = async { self.look(subject, client, self.load(subject, Origin::Disk)).await };
                look.instrument(span!("look_up_view", cache.outcome = Empty)).await
            }
        }
    }

    /// The answers about many, each with the version that its client was shown, in the order asked: what memory has, and the others with
    /// one call of the store.
    pub async fn get_many(self: &Arc<Self>, asked: &[(SubjectId, Version)]) -> Vec<Result<Answer, LookupError>> {
        self.look_up_many(asked).instrument(span!("look_up_views", subjects = asked.len())).await
    }

    async fn look_up_many(self: &Arc<Self>, asked: &[(SubjectId, Version)]) -> Vec<Result<Answer, LookupError>> {
        let now = (self.clock)();
        let held: Vec<_> = asked.iter().map(|(subject, client)| self.peek(*subject, *client, now)).collect();
        let missing: Vec<_> =
            asked.iter().zip(&held).filter(|(_, held)| held.is_none()).map(|(one, _)| one.0).collect();
        let mut loads = self.load_many(&missing, Origin::Disk).into_iter();
        let looks = asked.iter().zip(held).map(|((subject, client), held)| {
            let found = held.ok_or_else(|| loads.next().expect("a load for each that memory has not"));
            async move {
                match found {
                    Ok(answer) => Ok(self.record_hit(*subject, answer, now)),
                    Err(load) => self.look(*subject, *client, load).await,
                }
            }
        });
        futures::future::join_all(looks).await
    }

    /// The answer from `load`, or from a later one if what it brings may not be given.
    async fn look(
        self: &Arc<Self>,
        subject: SubjectId,
        client: Version,
        mut load: (Waiter, bool),
    ) -> Result<Answer, LookupError> {
        let mut look = self.outcomes.look();
        let is_superseded = |entry: &Entry| entry.held.version < client.max(self.ledger.newest(subject));
        let mut superseded = self.memory.get(subject).is_some_and(|entry| is_superseded(&entry));
        for turn in 0..MAX_LOADS {
            if turn > 0 {
                load = self.load(subject, Origin::Store);
            }
            let (waiter, joined) = &load;
            let (entry, origin) = waiter.clone().await.map_err(|fault| no_answer(fault, superseded, &mut look))?;
            let outcome = match (origin, joined) {
                (Origin::Memory, _) => hit(&entry),
                (Origin::Disk, _) => Outcome::HitDisk,
                (Origin::Store, true) => Outcome::Coalesced,
                (Origin::Store, false) => Outcome::Miss,
            };
            let now = (self.clock)();
            superseded |= is_superseded(&entry);
            if let Some(answer) = self.judge_loaded(entry, subject, client, now, outcome) {
                look.outcome = answer.outcome;
                self.refresh_in_background(subject, &answer, now);
                return Ok(answer);
            }
        }
        Err(LookupError::BeingUpdated)
    }

    /// The answer from the store, past what is held: of a load that began after this was asked. If the store cannot say, that of
    /// [`Self::get`].
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn bypass(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, LookupError> {
        self.bypass_lookup(subject, client).instrument(span!("look_up_view", cache.outcome = Empty)).await
    }

    async fn bypass_lookup(self: &Arc<Self>, subject: SubjectId, client: Version) -> Result<Answer, LookupError> {
        let mut look = self.outcomes.look();
        for turn in 0..MAX_LOADS {
            let (load, joined) = self.load(subject, Origin::Store);
            let Ok((entry, origin)) = load.await else { break };
            let began_before = joined && turn == 0;
            if began_before || origin != Origin::Store {
                continue;
            }
            if let Some(answer) = self.judge_loaded(entry, subject, client, (self.clock)(), Outcome::Bypass) {
                look.outcome = answer.outcome;
                return Ok(answer);
            }
        }
        look.not_counted();
        self.get(subject, client).await
    }

    /// What a load brought: something newer may have come to be known since.
    fn judge_loaded(
        &self,
        entry: Arc<Entry>,
        subject: SubjectId,
        client: Version,
        now: Time,
        outcome: Outcome,
    ) -> Option<Answer> {
        // The proof before the ledger: a poll that ends between the two has raised the ledger first.
        let proof = self.generations.load().proof(entry.held.generation);
        let just_read = matches!(outcome, Outcome::Miss | Outcome::Coalesced | Outcome::Bypass);
        self.judge(
            entry,
            FreshnessInputs { newest: self.ledger.newest(subject), proof, client, just_read },
            now,
            outcome,
        )
    }

    fn judge(&self, entry: Arc<Entry>, known: FreshnessInputs, now: Time, outcome: Outcome) -> Option<Answer> {
        match judge(entry.held, known, **self.bounds.load(), now) {
            Freshness::Fresh { as_of } => Some(Answer { entry, as_of, fresh: true, outcome }),
            Freshness::Stale { as_of } => {
                // What came from the store just now is a miss all the same.
                let outcome = if known.just_read { outcome } else { Outcome::Stale };
                Some(Answer { entry, as_of, fresh: false, outcome })
            }
            Freshness::MustLoad => None,
        }
    }

    fn refresh_in_background(self: &Arc<Self>, subject: SubjectId, answer: &Answer, now: Time) {
        if answer.outcome == Outcome::Stale
            && answer.entry.may_revalidate(now, REVALIDATE_EVERY)
            && !self.loads.contains(subject)
        {
            self.outcomes.count(Outcome::Revalidated);
            // The load runs as a task of its own; whether it helps is seen at the next look.
            drop(self.load(subject, Origin::Store));
        }
    }
}

/// Of memory.
fn hit(entry: &Entry) -> Outcome {
    if entry.is_absent() { Outcome::Negative } else { Outcome::HitMemory }
}

fn no_answer(fault: LoadError, superseded: bool, look: &mut Look<'_>) -> LookupError {
    match fault {
        LoadError::Throttled => look.outcome = Outcome::Throttled,
        LoadError::Unavailable | LoadError::Corrupt => {}
    }
    match fault {
        LoadError::Unavailable | LoadError::Throttled if superseded => LookupError::BeingUpdated,
        LoadError::Unavailable | LoadError::Throttled => LookupError::Unavailable,
        LoadError::Corrupt => LookupError::Corrupt,
    }
}
