//! Replays dead letters: each is read again, as its agency sent it, by the codes in force now.

use yima_schema::dead_letter::{DeadLetter, DeadLetterId};
use yima_store::StoreError;

use super::{Atomicity, Intake, RowStatus};
use crate::decode::{Identified, RawRow};

/// The outcomes of replayed letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replayed {
    /// The result counts now.
    pub accepted: usize,
    /// The result had been sent again and accepted.
    pub duplicate: usize,
    /// The code does not count.
    pub ignored: usize,
    /// Still not understood, or refused: the letter stays.
    pub rejected: usize,
}

impl Intake {
    /// Up to 200 letters after an id.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
    ) -> Result<Vec<(DeadLetterId, DeadLetter)>, StoreError> {
        self.pipeline.dead_letters.page(after).await
    }

    /// Replays the letter of that id, or all of them, and removes those that were taken.
    ///
    /// # Errors
    /// The store's; some letters may have been replayed.
    pub(crate) async fn replay(&self, only: Option<DeadLetterId>) -> Result<Replayed, StoreError> {
        let (mut replayed, mut after) = (Replayed::default(), None);
        loop {
            let page = self.dead_letters(after).await?;
            let Some((last, _)) = page.last() else { return Ok(replayed) };
            after = Some(*last);
            for (id, letter) in page.into_iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
                let count = match self.replay_one(letter).await {
                    RowStatus::Accepted => &mut replayed.accepted,
                    RowStatus::Duplicate => &mut replayed.duplicate,
                    RowStatus::Ignored => &mut replayed.ignored,
                    RowStatus::Rejected => {
                        replayed.rejected += 1;
                        continue;
                    }
                };
                *count += 1;
                self.pipeline.dead_letters.remove(id).await?;
            }
        }
    }

    async fn replay_one(&self, letter: DeadLetter) -> RowStatus {
        let DeadLetter { agency, subject, document, document_type, resource, .. } = letter;
        let Ok(submission) = self.admit(agency.into()).await else { return RowStatus::Rejected };
        let row = RawRow::Kept { resource: resource.into(), person: Identified { subject, document, document_type } };
        let answers = self.pipeline.run(&submission, vec![(1, row)], Atomicity::Each).await;
        answers.first().map_or(RowStatus::Rejected, |answer| answer.status)
    }
}
