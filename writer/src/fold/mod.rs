//! From events to acknowledged views: append, look up the version, *then* read the events, derive, compare and set,
//! publish.
//!
//! This order makes an acknowledgement true. The version is read before the events, so a compare-and-set that succeeds
//! was derived from at least the events that any earlier version was derived from; a fold that loses the race starts
//! again at the version.

#[cfg(test)]
pub(crate) mod damaged;
pub(crate) mod denials;
mod memory;
mod outcome;
mod pieces;
mod plan;
mod rules;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::Instrument;
use yima_schema::change::Change;
use yima_schema::code::TokenKeys;
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;
use yima_service::clock::now;
use yima_store::{Appended, CompareAndSet, Mark, StoreError, StreamId, WriterStore, bulk, failpoint, span};

use denials::Denying;
use memory::FoldMemory;
pub use outcome::CommitOutcome;
use pieces::{Piece, Pieces};
use plan::{Changed, Plan, plan};
use rules::RulesGuard;
use stream::OwnStream;

use crate::agency_shares::AgencyShares;
use crate::backoff::until_answered;
use crate::config::FoldConfig;

/// Subjects whose marks of an earlier process are settled together, and whose views are published again together.
const SUBJECTS: usize = 500;
/// Events that are no work in bulk: deriving views from them takes less than a millisecond.
const FEW_EVENTS: usize = 256;
/// Bytes reserved for as many views.
const VIEWS_BYTES: usize = 8 * 1024 * 1024;

/// Subjects to fold, with the marks that their publication settles.
type OwedFolds = BTreeMap<SubjectId, Vec<Mark>>;

/// What the fold of a commit needs to know of its events.
struct Sent {
    /// Who sent them, all of one commit alike.
    agency: Option<String>,
    /// Their subjects, by position.
    subjects: Vec<SubjectId>,
}

/// Folds events into views and publishes them in this process's stream.
pub struct Folder {
    store: Arc<dyn WriterStore>,
    rules: RulesGuard,
    /// Name the tokens that a new view makes out of date.
    tokens: Arc<TokenKeys>,
    stream: OwnStream,
    memory: FoldMemory,
    /// Events of each agency that are being appended, if the store decides about them in turn.
    turns: Option<AgencyShares>,
}

/// The views after a fold: of each readable subject the version that was published.
type Folded = HashMap<SubjectId, Version>;

impl Folder {
    /// Makes its rules the region's if they are newer, opens a stream, then folds and publishes what earlier writers
    /// left unfinished.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn start(
        store: Arc<dyn WriterStore>,
        rules: Arc<Rules>,
        tokens: Arc<TokenKeys>,
    ) -> Result<Self, StoreError> {
        Self::start_within(store, rules, tokens, FoldConfig::default().memory_bytes).await
    }

    /// The same with another budget of memory for all folds together.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_within(
        store: Arc<dyn WriterStore>,
        rules: Arc<Rules>,
        tokens: Arc<TokenKeys>,
        memory_bytes: NonZeroU64,
    ) -> Result<Self, StoreError> {
        let rules = RulesGuard::raise(&*store, rules).await?;
        let stream = OwnStream::open(&*store).await?;
        let turns = store.turn_events().map(|events| AgencyShares::new(events.get()));
        let folder = Self { store, rules, tokens, stream, memory: FoldMemory::new(memory_bytes), turns };
        // A second check: a process that raises the rules looks for open streams afterwards, so either it sees this
        // stream or this check sees its rules.
        if let Err(refused) = folder.check_rules().await {
            folder.close().await?;
            return Err(refused);
        }
        let unsettled = folder.store.unsettled().await?;
        for batch in unsettled.chunks(SUBJECTS) {
            let mut owed = OwedFolds::new();
            batch.iter().for_each(|(mark, subject)| owed.entry(*subject).or_default().push(*mark));
            folder.fold_owed(None, &owed).await?;
        }
        if !unsettled.is_empty() {
            tracing::info!(events = unsettled.len(), "finished folds that an earlier process had begun");
        }
        Ok(folder)
    }

    /// Name of the region that it writes in.
    pub fn region(&self) -> &str {
        self.store.region()
    }

    /// The rules that this folder derives by.
    pub fn rules(&self) -> &Rules {
        self.rules.rules()
    }

    /// Whether each event is stored, with this content.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>, StoreError> {
        self.store.are_stored(events).await
    }

    /// What `judge` says of a subject's events. It costs what a fold does, so it is an agency's share of the memory
    /// that it waits for: one at a time of each agency.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn judge_events<T: Send + 'static>(
        &self,
        agency: &str,
        subject: SubjectId,
        judge: impl FnOnce(&[StoredEvent]) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let _reserved = self.memory.reserve(Some(agency), usize::MAX).await;
        let events = self.store.events(&[subject]).await?.pop().unwrap_or_default();
        bulk::spawn_blocking(events.len() > FEW_EVENTS, move || judge(&events)).await.map_err(|_| StoreError::TimedOut)
    }

    /// Reads the version of the region's rules; once it is newer, this folder takes nothing more.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub async fn check_rules(&self) -> Result<(), StoreError> {
        self.rules.check(&*self.store).await
    }

    /// Whether newer rules than this folder's were seen in the region: the process has to stop.
    pub fn is_outdated(&self) -> bool {
        self.rules.is_outdated()
    }

    /// Appends events and folds their subjects; each outcome holds when this returns. Once the events are appended it
    /// does not give up: the fold is finished, whatever answer the client got.
    ///
    /// # Errors
    /// The store's. Events that were appended before it are folded.
    pub async fn commit(&self, mut events: Vec<StoredEvent>) -> Result<Vec<CommitOutcome>, StoreError> {
        let mut sent = self.prepare(&events).await?;
        let mut appended = Vec::with_capacity(events.len());
        let mut failed = Ok(());
        while !events.is_empty() {
            let next = events.split_off(self.turn_events().min(events.len()));
            let events = std::mem::replace(&mut events, next);
            let span = span!("append", events = events.len());
            let turn = self.turn(&sent, events.len()).await;
            match self.store.append(events).instrument(span).await {
                Ok(outcomes) => appended.extend(outcomes),
                Err(error) => {
                    failed = Err(error);
                    break;
                }
            }
            drop(turn);
        }
        sent.subjects.truncate(appended.len());
        let outcomes = self.fold_appended(sent, appended).await?;
        failed.map(|()| outcomes)
    }

    /// As [`Self::commit`], but all or none: if one event cannot be taken, nothing is appended.
    ///
    /// # Errors
    /// Nothing was appended.
    pub async fn commit_all(&self, events: Vec<StoredEvent>) -> Result<Vec<CommitOutcome>, StoreError> {
        let sent = self.prepare(&events).await?;
        let span = span!("append", events = events.len());
        let turn = self.turn(&sent, events.len()).await;
        let appended = self.store.append_all(events).instrument(span).await?;
        drop(turn);
        self.fold_appended(sent, appended).await
    }

    /// Folds and publishes subjects whose events are stored already; returns those whose data cannot be read.
    ///
    /// # Errors
    /// The store's; some subjects may be folded.
    pub async fn refold(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>, StoreError> {
        let folded = self.fold_owed(None, &subjects.iter().map(|subject| (*subject, Vec::new())).collect()).await?;
        Ok(subjects.iter().filter(|subject| !folded.contains_key(subject)).copied().collect())
    }

    /// Changes with each publication: the stream that it is in.
    pub fn published(&self) -> watch::Receiver<StreamId> {
        self.stream.published()
    }

    /// Seals the stream: this process publishes nothing more.
    ///
    /// # Errors
    /// The store's.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.stream.close(&*self.store).await
    }

    /// Checks that events may be appended.
    async fn prepare(&self, events: &[StoredEvent]) -> Result<Sent, StoreError> {
        failpoint::pass("before_append")?;
        if self.is_outdated() {
            self.check_rules().await?;
        }
        Ok(Sent {
            agency: events.first().map(|event| event.event.agency.clone()),
            subjects: events.iter().map(|event| event.event.subject).collect(),
        })
    }

    /// Events of one agency that are appended at a time.
    fn turn_events(&self) -> usize {
        self.turns.as_ref().map_or(usize::MAX, |turns| turns.units() as usize)
    }

    /// Waits until so many of the agency's events may be appended.
    async fn turn(&self, sent: &Sent, events: usize) -> Option<OwnedSemaphorePermit> {
        let (turns, agency) = (self.turns.as_ref()?, sent.agency.as_deref()?);
        Some(turns.acquire(agency, u32::try_from(events).unwrap_or(u32::MAX)).await)
    }

    /// Folds the subjects of appended events until the store answers; only an error that another try cannot mend is
    /// returned.
    async fn fold_appended(&self, sent: Sent, appended: Vec<Appended>) -> Result<Vec<CommitOutcome>, StoreError> {
        let (mut owed, mut to_publish) = (OwedFolds::new(), BTreeSet::new());
        let mut outcomes = Vec::with_capacity(appended.len());
        for (subject, appended) in sent.subjects.iter().copied().zip(appended) {
            let (outcome, mark) = match appended {
                Appended::New(mark) => (CommitOutcome::Accepted(Version::ABSENT), Some(mark)),
                Appended::Duplicate(mark) => (CommitOutcome::Duplicate, Some(mark)),
                Appended::Folded => {
                    to_publish.insert(subject);
                    (CommitOutcome::Duplicate, None)
                }
                Appended::Settled => (CommitOutcome::Duplicate, None),
                Appended::Conflict => (CommitOutcome::Conflict, None),
                Appended::Full => (CommitOutcome::Full, None),
                Appended::NotTried => (CommitOutcome::NotTried, None),
            };
            outcomes.push(outcome);
            if let Some(mark) = mark {
                owed.entry(subject).or_default().push(mark);
            }
        }
        let to_publish: Vec<_> = to_publish.into_iter().filter(|subject| !owed.contains_key(subject)).collect();
        let agency = sent.agency.as_deref();
        let finish = async || {
            let folded = self.fold_owed(agency, &owed).await?;
            self.publish_stored(agency, &to_publish).await.map(|()| folded)
        };
        let folded = until_answered(
            finish,
            |error, wait| tracing::warn!(%error, ?wait, "a fold waits for the store; it is retried until it succeeds"),
        );
        let folded = folded.await?;
        for (outcome, subject) in outcomes.iter_mut().zip(&sent.subjects) {
            *outcome = match (*outcome, folded.get(subject)) {
                (CommitOutcome::Accepted(_), Some(version)) => CommitOutcome::Accepted(*version),
                (CommitOutcome::Accepted(_) | CommitOutcome::Duplicate, None) if owed.contains_key(subject) => {
                    CommitOutcome::Unreadable
                }
                (as_appended, _) => as_appended,
            };
        }
        failpoint::pass("published")?;
        Ok(outcomes)
    }

    /// Folds and publishes subjects, a piece at a time. If the data of one cannot be read, folds each of its piece by
    /// itself: the unreadable subject is not returned and keeps its marks, and all others are served.
    async fn fold_owed(&self, agency: Option<&str>, owed: &OwedFolds) -> Result<Folded, StoreError> {
        let mut folded = Folded::new();
        if owed.is_empty() {
            return Ok(folded);
        }
        failpoint::pass("appended")?;
        let mut pieces = Pieces::new(owed.keys().copied());
        while let Some(mut piece) = pieces.next() {
            let _reserved = self.memory.reserve(agency, piece.bytes()).await;
            match self.fold(&mut piece, &mut pieces).await {
                Ok(changes) => {
                    let marks = changes.iter().flat_map(|change| owed.get(&change.subject).into_iter().flatten());
                    let marks: Vec<Mark> = marks.copied().collect();
                    self.stream.publish(&*self.store, &self.rules, &changes, &marks).await?;
                    folded.extend(changes.iter().map(|change| (change.subject, change.version)));
                }
                Err(error @ StoreError::Corrupt { .. }) if piece.is_one_subject() => {
                    tracing::error!(%error, "a subject cannot be folded; its view stays as it is");
                }
                Err(StoreError::Corrupt { .. }) => pieces.separate(&piece),
                Err(error) => return Err(error),
            }
        }
        Ok(folded)
    }

    /// Publishes the stored views of subjects again.
    async fn publish_stored(&self, agency: Option<&str>, subjects: &[SubjectId]) -> Result<(), StoreError> {
        for subjects in subjects.chunks(SUBJECTS) {
            let _reserved = self.memory.reserve(agency, VIEWS_BYTES).await;
            let views = self.store.lookup_many(subjects).await?;
            let stored = subjects.iter().zip(views).filter_map(|(subject, view)| {
                view.map(|view| Change { subject: *subject, version: view.version, view: view.view, traced: None })
            });
            self.stream.publish(&*self.store, &self.rules, &stored.collect::<Vec<_>>(), &[]).await?;
        }
        Ok(())
    }

    /// Brings each subject's view up to its events; returns the newest view of every subject, also of those that did
    /// not change. Subjects above the bytes reserved for the piece go back to `pieces`.
    async fn fold(&self, piece: &mut Piece, pieces: &mut Pieces) -> Result<Vec<Change>, StoreError> {
        let mut subjects = piece.subjects();
        let mut newest = Vec::with_capacity(subjects.len());
        let span = span!("lookup_versions", subjects = subjects.len());
        let mut current = self.store.lookup_many(&subjects).instrument(span).await?;
        pieces.take_back(piece, &mut current);
        subjects.truncate(current.len());
        if subjects.is_empty() {
            return Ok(newest);
        }
        loop {
            let count = subjects.len();
            failpoint::pass("version_read")?;
            let events = self.store.events(&subjects).instrument(span!("read_events", subjects = count)).await?;
            failpoint::pass("events_read")?;
            let (rules, epoch, tokens) = (self.rules.rules().clone(), self.store.epoch(), self.tokens.clone());
            // A thousand subjects take some ten milliseconds: too long for a thread that serves other requests.
            let is_bulk = events.iter().map(Vec::len).sum::<usize>() > FEW_EVENTS;
            let derived = bulk::spawn_blocking(is_bulk, move || {
                let denying = Denying { keys: &tokens, now: now() };
                plan(&subjects, current, &events, &rules, epoch, denying)
            });
            let planned =
                derived.instrument(span!("derive", subjects = count)).await.map_err(|_| StoreError::TimedOut)?;
            let Plan { unchanged, changed } = planned.inspect_err(|_| self.rules.note_outdated())?;
            newest.extend(unchanged);
            let writes = changed.iter().map(Changed::write);
            failpoint::pass("derived")?;
            let span = span!("compare_and_set", views = changed.len());
            let outcomes = self.store.compare_and_set(writes.collect()).instrument(span).await?;
            failpoint::pass("views_set")?;
            subjects = Vec::new();
            for (Changed { change, .. }, outcome) in changed.into_iter().zip(outcomes) {
                match outcome {
                    CompareAndSet::Set => newest.push(change),
                    CompareAndSet::Lost => subjects.push(change.subject),
                }
            }
            if subjects.is_empty() {
                return Ok(newest);
            }
            let span = span!("lookup_versions", subjects = subjects.len());
            current = self.store.lookup_many(&subjects).instrument(span).await?;
        }
    }
}
