//! Dead letters: one table, whose keys begin with the day.

use std::ops::Bound;

use async_trait::async_trait;
use yima_schema::dead_letter::DeadLetterId;
use yima_schema::time::Time;

use super::EmbeddedStore;
use super::group_commit::Group;
use super::writing::ROW_BYTES;
use crate::span::{call, call_span};
use crate::{DeadLetterStore, Result, SealedLetter};

#[async_trait]
impl DeadLetterStore for EmbeddedStore {
    async fn keep_dead_letters(&self, letters: Vec<SealedLetter>) -> Result<()> {
        let bytes = letters.iter().map(|letter| letter.content.len() + ROW_BYTES).sum();
        let span = call_span!("fjall", "append", "dead_letters", letters.len());
        let keep = move |group: &mut Group<'_>| {
            for letter in &letters {
                group.rows.insert(
                    group.tables.dead_letters.keyspace(),
                    letter.id.to_bytes(),
                    letter.content.as_slice(),
                );
            }
            Ok(())
        };
        call(span, self.queue()?.submit(bytes, keep)).await
    }

    async fn dead_letters(&self, after: Option<DeadLetterId>, limit: usize) -> Result<Vec<SealedLetter>> {
        self.blocking(move |tables| {
            let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_bytes()));
            let rows = tables.dead_letters.range((start, Bound::Unbounded));
            let decode = |row: Result<(fjall::Slice, fjall::Slice)>| {
                let (key, content) = row?;
                let id = DeadLetterId::from_bytes(&key).ok_or_else(|| tables.dead_letters.corrupt("a key"))?;
                Ok(SealedLetter { id, content: content.to_vec() })
            };
            rows.take(limit).map(decode).collect()
        })
        .await
    }

    async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<()> {
        let remove = move |group: &mut Group<'_>| {
            group.rows.remove(group.tables.dead_letters.keyspace(), id.to_bytes());
            Ok(())
        };
        self.queue()?.submit(ROW_BYTES, remove).await
    }
}

impl Group<'_> {
    /// Removes up to `most` letters that are no longer kept at `now`, and returns their number.
    pub(super) fn trim_dead_letters(&mut self, now: Time, most: usize) -> Result<usize> {
        let end = DeadLetterId { day: DeadLetterId::first_kept_day(now), digest: [0; 16] }.to_bytes();
        let mut removed = 0;
        for row in self.tables.dead_letters.range(..end).take(most) {
            self.rows.remove(self.tables.dead_letters.keyspace(), row?.0);
            removed += 1;
        }
        Ok(removed)
    }
}
