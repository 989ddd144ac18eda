//! The audit: a slow walk over the disk tier that compares its versions with the store's. It should never find
//! anything; a change that was not published, or not followed, comes to light here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metrics::Counter;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::ViewCache;
use super::guarded_store::LoadError;
use super::single_flight::Origin;

/// Subjects compared with one call of the store.
const PAGE: usize = 200;
/// A subject whose version here is below the store's becomes a finding only after a complete poll that began this long
/// after the comparison: by then the registry shows a writer that died meanwhile as dead, and another has published its
/// changes.
const GRACE: Duration = Duration::from_secs(60);
/// With this many suspects no further subjects are compared.
const MAX_SUSPECTS: usize = 10_000;

/// Subjects compared per second; 0 pauses the audit. Changed by tuning.
pub(super) struct AuditRate(AtomicU32);

impl AuditRate {
    pub fn new(per_second: u32) -> Self {
        Self(AtomicU32::new(per_second))
    }

    pub fn set(&self, per_second: u32) {
        self.0.store(per_second, Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Compares the disk tier with the store, a page of subjects at a time.
pub(crate) struct Audit {
    views: Arc<ViewCache>,
    after: Option<SubjectId>,
    suspects: Vec<Suspect>,
    findings: Counter,
    compared: Counter,
    rounds: Counter,
    clock: fn() -> Time,
}

/// A subject of which the store had a newer version.
struct Suspect {
    subject: SubjectId,
    version: Version,
    seen_at: Time,
}

impl Audit {
    /// An audit of the disk tier.
    pub fn new(views: Arc<ViewCache>, clock: fn() -> Time) -> Self {
        Self {
            views,
            after: None,
            suspects: Vec::new(),
            findings: metrics::counter!("cache_audit_findings_total"),
            compared: metrics::counter!("cache_audit_subjects_total"),
            rounds: metrics::counter!("cache_audit_rounds_total"),
            clock,
        }
    }

    /// Runs for ever. A page for which the store does not answer is compared at the next turn.
    pub async fn run(mut self) {
        loop {
            let per_second = self.views.audit_rate.get();
            tokio::time::sleep(Duration::from_secs(PAGE as u64) / per_second.clamp(1, PAGE as u32 * 100)).await;
            self.judge_suspects().await;
            if per_second > 0
                // While the feed stands still suspects are not judged, and each round would add the same ones again.
                && self.suspects.len() < MAX_SUSPECTS
                && let Err(error) = self.compare_page().await
            {
                tracing::debug!(?error, "the audit waits for the store");
            }
        }
    }

    /// Compares the next page, and remembers each subject of which the store has a newer version.
    pub(super) async fn compare_page(&mut self) -> Result<(), LoadError> {
        let Some(disk) = self.views.tiers.disk() else { return Ok(()) };
        let after = self.after;
        let page = tokio::task::spawn_blocking(move || disk.subjects(after, PAGE)).await;
        let page = page.map_err(|_| LoadError::Unavailable)?.map_err(|error| {
            tracing::error!(%error, "the audit cannot read the disk tier");
            LoadError::Corrupt
        })?;
        let subjects: Vec<SubjectId> = page.iter().map(|(subject, _)| *subject).collect();
        let seen_at = (self.clock)();
        let stored = self.views.store.lookup(&subjects, None).await?;
        let newer = page.iter().zip(stored).filter_map(|((subject, cached), stored)| {
            let version = stored.map_or(Version::ABSENT, |stored| stored.version);
            (version > *cached).then_some(Suspect { subject: *subject, version, seen_at })
        });
        self.suspects.extend(newer);
        self.compared.increment(subjects.len() as u64);
        self.after = subjects.last().copied();
        if subjects.len() < PAGE {
            self.rounds.increment(1);
            self.after = None;
        }
        Ok(())
    }

    /// Counts and repairs each suspect whose change should have been followed by now.
    pub(super) async fn judge_suspects(&mut self) {
        let due_before = self.views.polled_at().minus(GRACE);
        let due: Vec<Suspect> = self.suspects.extract_if(.., |suspect| suspect.seen_at < due_before).collect();
        for Suspect { subject, version, .. } in due {
            let views = Arc::clone(&self.views);
            let cached = tokio::task::spawn_blocking(move || views.tiers.cached_version(subject)).await;
            if cached.is_ok_and(|cached| cached < version) {
                self.findings.increment(1);
                tracing::error!(
                    "the audit found a view that is older than the store's: \
                     its change was not published or not followed"
                );
                // If this load fails, the subject's next lookup loads it: its newest version is known from now on.
                self.views.tiers.supersede(subject, version);
                let _ = self.views.load(subject, Origin::Store).landed().await;
            }
        }
    }
}
