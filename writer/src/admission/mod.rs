//! Admission: which events an agency may add, by the registry. An event that is stored already is let through as a
//! duplicate, whatever the rights are now.

mod backdating;
mod quota;
mod rights;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use yima_schema::event::{EventData, EventKind, StoredEvent, TestOutcome};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::{DocumentType, SubjectId};
use yima_schema::time::Time;
use yima_service::operator_file::OperatorFile;
use yima_store::Result;

use self::backdating::{is_backdated, which_clear_positives_of_another};
use self::quota::Quotas;
use crate::agencies::{Agencies, Right, Rights};
use crate::bounded_labels::{BoundedLabels, OTHER};
use crate::decode::RowForm;
use crate::fold::Folder;

/// Most agencies with series of their own.
const MAX_AGENCIES: usize = 200;

/// Decides about events before they are appended.
pub(crate) struct Admission {
    agencies: Arc<OperatorFile<Agencies>>,
    quotas: Quotas,
    labels: BoundedLabels,
}

/// An event with what the rights depend on.
pub(crate) struct Candidate {
    pub event: StoredEvent,
    /// The type of its subject's document.
    pub document_type: DocumentType,
    /// The form of its row.
    pub form: RowForm,
}

/// Why an event is not added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It only accompanies what the agency sends.
    Ignored(String),
    /// The agency may not send it.
    Rejected(Problem),
}

/// The decisions about events.
pub(crate) struct Review {
    /// In the order of the events.
    pub refusals: Vec<Option<Refusal>>,
    /// What the events took of the agency's quota.
    taken: u32,
}

impl Admission {
    pub(crate) fn new(agencies: Arc<OperatorFile<Agencies>>) -> Self {
        // From the start, so that the first one is an increase.
        for outcome in ["accepted", "capped"] {
            metrics::counter!("agency_restrictions_total", "agency" => OTHER, "outcome" => outcome).increment(0);
        }
        Self { agencies, quotas: Quotas::default(), labels: BoundedLabels::new(MAX_AGENCIES) }
    }

    /// Decides about an agency's events at `now`. All events of a subject are read only for a new negative result that
    /// is old, one subject after the other.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn review(
        &self,
        agency: &str,
        candidates: &[Candidate],
        folder: &Folder,
        now: Time,
    ) -> Result<Review> {
        let agencies = self.agencies.content();
        let rights = match agencies.rights(agency) {
            Right::Every => return Ok(Review { refusals: vec![None; candidates.len()], taken: 0 }),
            Right::Some(rights) => Some(rights),
            Right::None => None,
        };
        let mut review = Review { refusals: Vec::with_capacity(candidates.len()), taken: 0 };
        let mut doubtful = Vec::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let refusal = rights.map_or_else(|| Some(rights::unlisted()), |rights| rights::refusal(rights, candidate));
            let refusal = refusal.or_else(|| self.over_quota(agency, rights?, candidate, now, &mut review.taken));
            let event = &candidate.event.event;
            if refusal.is_some() || rights.is_some_and(|rights| is_backdated(event, rights.backdate_h, now)) {
                doubtful.push(at);
            }
            review.refusals.push(refusal);
        }
        let events: Vec<_> = doubtful.iter().map(|at| &candidates[*at].event).collect();
        let mut backdated: BTreeMap<SubjectId, Vec<usize>> = BTreeMap::new();
        for (at, is_stored) in doubtful.iter().copied().zip(folder.are_stored(&events).await?) {
            if is_stored {
                review.refusals[at] = None;
            } else if review.refusals[at].is_none() {
                backdated.entry(candidates[at].event.event.subject).or_default().push(at);
            }
        }
        for (subject, positions) in backdated {
            let events: Vec<_> = positions.iter().map(|at| candidates[*at].event.clone()).collect();
            let rules = folder.rules().clone();
            let judge = move |known: &[StoredEvent]| which_clear_positives_of_another(known, &events, &rules, now);
            let clear = folder.judge_events(agency, subject, judge).await?;
            for (at, _) in positions.into_iter().zip(clear).filter(|(_, clears)| *clears) {
                review.refusals[at] = rights.map(|rights| rights::backdated(rights, candidates[at].form));
            }
        }
        let is_capped = |refusal: &&Refusal| matches!(refusal, Refusal::Rejected(problem) if problem.kind == ProblemType::TooManyRequests);
        self.count_restrictions(agency, "capped", review.refusals.iter().flatten().filter(is_capped).count());
        Ok(review)
    }

    fn over_quota(
        &self,
        agency: &str,
        rights: &Rights,
        candidate: &Candidate,
        now: Time,
        taken: &mut u32,
    ) -> Option<Refusal> {
        if !restricts(&candidate.event.event.data) {
            return None;
        }
        match self.quotas.take(agency, rights.restrictions_per_minute, now) {
            None => {
                *taken += 1;
                None
            }
            Some(wait_s) => Some(rights::over_quota(rights, wait_s)),
        }
    }

    /// Counts the events that were accepted, and gives back the quota that others took.
    pub(crate) fn note(&self, agency: &str, review: &Review, accepted: &[(EventKind, bool)], now: Time) {
        for kind in EventKind::OF_AGENCIES {
            let count = accepted.iter().filter(|(of, _)| *of == kind).count() as u64;
            if count > 0 {
                let agency = self.labels.label(agency);
                metrics::counter!("agency_events_total", "agency" => agency, "kind" => kind.as_str()).increment(count);
            }
        }
        let restrictions = accepted.iter().filter(|(_, restricts)| *restricts).count();
        self.count_restrictions(agency, "accepted", restrictions);
        let unused = review.taken.saturating_sub(u32::try_from(restrictions).unwrap_or(u32::MAX));
        self.quotas.give_back(agency, unused, now);
    }

    fn count_restrictions(&self, agency: &str, outcome: &'static str, count: usize) {
        if count > 0 {
            let agency = self.labels.label(agency);
            metrics::counter!("agency_restrictions_total", "agency" => agency, "outcome" => outcome)
                .increment(count as u64);
        }
    }
}

/// Whether an event may restrict a person.
pub(crate) fn restricts(data: &EventData) -> bool {
    match data {
        EventData::TestResult { result, .. } => *result == TestOutcome::Positive,
        EventData::ColourAssignment { colour, .. } => colour.is_restriction(),
        EventData::Identity { deceased_at, .. } => deceased_at.is_some(),
        EventData::Vaccination { .. }
        | EventData::Retraction { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => false,
    }
}
