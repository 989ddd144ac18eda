//! The audit: a slow walk over the disk tier that compares what is held with the store. Nothing should ever be found; if a change was not told
//! or not heard, this is how it comes to light.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Counter;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::ViewCache;
use super::single_flight::{LoadError, Origin};

/// Subjects of one look-up.
const PAGE: usize = 200;
/// What is older here than in the store is no finding before a poll is complete that began so long after it was seen: a writer that died
/// meanwhile has been found dead by then, and its changes have been published by another.
const BOUND: Duration = Duration::from_secs(60);

/// Suspects of so many are judged before others are looked for.
const MAX_SUSPECTS: usize = 10_000;

/// See the module.
pub struct Audit {
    views: Arc<ViewCache>,
    after: Option<SubjectId>,
    suspects: Vec<Suspect>,
    findings: Counter,
    looked_at: Counter,
    rounds: Counter,
    clock: fn() -> Time,
}

/// Somebody of whom the store has something newer.
struct Suspect {
    subject: SubjectId,
    version: Version,
    seen_at: Time,
}

impl Audit {
    /// Of everybody on disk.
    pub fn new(views: Arc<ViewCache>, clock: fn() -> Time) -> Self {
        Self {
            views,
            after: None,
            suspects: Vec::new(),
            findings: metrics::counter!("cache_audit_findings_total"),
            looked_at: metrics::counter!("cache_audit_subjects_total"),
            rounds: metrics::counter!("cache_audit_rounds_total"),
            clock,
        }
    }

    /// Goes on for ever. A store that does not answer is asked again at the next turn.
    pub async fn run(mut self) {
        loop {
            let per_second = self.views.audit_per_s.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(PAGE as u64) / per_second.clamp(1, PAGE as u32 * 100)).await;
            self.judge_suspects().await;
            if per_second > 0
                // While the feed stands still they are not judged, and each round would note the same again.
                && self.suspects.len() < MAX_SUSPECTS
                && let Err(fault) = self.look().await
            {
                tracing::debug!(?fault, "the audit waits for the store");
            }
        }
    }

    /// Looks at the next subjects, and notes those of whom the store has something newer.
    pub(super) async fn look(&mut self) -> Result<(), LoadError> {
        let Some(disk) = self.views.disk() else { return Ok(()) };
        let after = self.after;
        let page = tokio::task::spawn_blocking(move || disk.subjects(after, PAGE)).await;
        let page = page.map_err(|_| LoadError::Unavailable)?.map_err(|fault| {
            tracing::error!(%fault, "the cache on disk cannot be audited");
            LoadError::Corrupt
        })?;
        let subjects: Vec<SubjectId> = page.iter().map(|(subject, _)| *subject).collect();
        let seen_at = (self.clock)();
        let stored = self.views.loads.ask(self.views.store.lookup_many(&subjects)).await?;
        let newer = page.iter().zip(stored).filter_map(|((subject, held), stored)| {
            let version = stored.map_or(Version::ABSENT, |stored| stored.version);
            (version > *held).then_some(Suspect { subject: *subject, version, seen_at })
        });
        self.suspects.extend(newer);
        self.looked_at.increment(subjects.len() as u64);
        self.after = subjects.last().copied();
        if subjects.len() < PAGE {
            self.rounds.increment(1);
            self.after = None;
        }
        Ok(())
    }

    /// Counts and repairs what should have been told by now.
    pub(super) async fn judge_suspects(&mut self) {
        let told_by = self.views.polled_at().minus(BOUND);
        let due: Vec<Suspect> = self.suspects.extract_if(.., |suspect| suspect.seen_at < told_by).collect();
        for suspect in due {
            let (views, subject) = (Arc::clone(&self.views), suspect.subject);
            let held = tokio::task::spawn_blocking(move || views.held_version(subject)).await;
            if held.is_ok_and(|held| held < suspect.version) {
                self.findings.increment(1);
                tracing::error!(
                    "the audit found a view that is older than the store's: a change was not told or not heard"
                );
                // Repaired at the next look of the person's if this fails: what was found is known from now on.
                self.views.ledger.raise(subject, suspect.version, || self.views.memory.remove(subject));
                let (load, _) = self.views.load(subject, Origin::Store);
                let _ = load.await;
            }
        }
    }
}
