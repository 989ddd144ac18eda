//! Corrections to what does not count: a later version of a result or a dose that is irrelevant here takes the earlier
//! one back. Most irrelevant rows have no earlier version and are ignored.

use futures::{StreamExt, stream};
use yima_schema::event::{Rank, StoredEvent};
use yima_schema::problem::Problem;
use yima_schema::subject::DocumentType;
use yima_store::StoreError;

use super::pipeline::Pipeline;
use super::problems;
use crate::admission::Candidate;
use crate::decode::{DecodedRow, RowError, RowForm};

/// Rows whose earlier versions are looked up at once.
const CONCURRENT_LOOKUPS: usize = 32;

/// What takes the earlier versions of a row back, if there are any.
pub(super) struct Withdrawal {
    /// The row's place in its batch.
    at: usize,
    form: RowForm,
    /// The event's id.
    id: String,
    /// A retraction, or why there is none.
    event: Result<(StoredEvent, DocumentType), Problem>,
}

impl Withdrawal {
    /// Of a row that does not count.
    pub(super) fn of(at: usize, form: RowForm, row: &DecodedRow) -> Option<Self> {
        let Err(RowError::NotCounted(fact)) = &row.event else { return None };
        Some(Self { at, form, id: row.id.clone()?, event: fact.withdrawal.clone()? })
    }

    /// Whether an event of the same batch is an earlier version.
    fn corrects(&self, candidate: &Candidate) -> bool {
        let earlier = &candidate.event;
        // An event's id is unique within its subject, a resource's among all.
        let is_subjects = |event: &StoredEvent| self.form.is_resource() || event.event.subject == earlier.event.subject;
        earlier.event.id == self.id
            && self.event.as_ref().map_or(true, |(event, _)| is_subjects(event) && earlier.version() <= event.version())
    }
}

impl Pipeline {
    /// The withdrawals that have something to take back, by place in the batch. An equal version with another content
    /// is one too: the store will find the conflict.
    pub(super) async fn due(
        &self,
        agency: &str,
        withdrawals: Vec<Withdrawal>,
        batch: &[Candidate],
    ) -> Vec<(usize, Result<Candidate, Problem>)> {
        let lookups: Vec<_> =
            withdrawals.into_iter().map(|withdrawal| self.if_due(agency, withdrawal, batch)).collect();
        stream::iter(lookups).buffered(CONCURRENT_LOOKUPS).filter_map(std::future::ready).collect().await
    }

    async fn if_due(
        &self,
        agency: &str,
        withdrawal: Withdrawal,
        batch: &[Candidate],
    ) -> Option<(usize, Result<Candidate, Problem>)> {
        let is_due = if batch.iter().any(|candidate| withdrawal.corrects(candidate)) {
            Ok(true)
        } else {
            self.has_earlier(agency, &withdrawal).await
        };
        let Withdrawal { at, form, event, .. } = withdrawal;
        match is_due {
            Ok(true) => Some((at, event.map(|(event, document_type)| Candidate { event, document_type, form }))),
            Ok(false) => None,
            Err(error) => {
                tracing::error!(%error, "it could not be found out whether a correction takes an event back");
                Some((at, Err(problems::of_store(&error))))
            }
        }
    }

    /// Whether an earlier version is stored.
    async fn has_earlier(&self, agency: &str, withdrawal: &Withdrawal) -> Result<bool, StoreError> {
        let version = withdrawal.event.as_ref().map_or((u64::MAX, Rank::EnteredInError), |(event, _)| event.version());
        let stored = match &withdrawal.event {
            Ok((event, _)) if !withdrawal.form.is_resource() => {
                let (of, id) = (agency.to_owned(), withdrawal.id.clone());
                let versions = move |known: &[StoredEvent]| {
                    let is_same = |known: &&StoredEvent| known.event.agency == of && known.event.id == id;
                    known.iter().filter(is_same).map(StoredEvent::version).collect()
                };
                self.folder.judge_events(agency, event.event.subject, versions).await?
            }
            Ok(_) | Err(_) => self.moves.versions(agency, &withdrawal.id).await?,
        };
        Ok(stored.into_iter().any(|stored| stored <= version))
    }
}
