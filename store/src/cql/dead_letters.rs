//! Dead letters of this region: a partition for each day, whose rows the database removes itself.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::dead_letter::{DeadLetterId, KEPT_FOR};

use super::statements::ttl;
use super::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::span::{call, call_span};
use crate::{DeadLetterStore, Result, SealedLetter, StoreError};

const TABLE: &str = "dead_letters";

#[async_trait]
impl DeadLetterStore for CqlStore {
    async fn keep_dead_letters(&self, letters: Vec<SealedLetter>) -> Result<()> {
        let inner = &self.inner;
        let keep = async |letter: SealedLetter| {
            let SealedLetter { id, content } = letter;
            let row = (&inner.options.region, id.day as i32, &id.digest[..], content, ttl(KEPT_FOR));
            inner.execute(TABLE, &inner.statements.dead_letters.insert, row).await.map(drop)
        };
        let span = call_span!("cassandra", "INSERT", "dead_letters", letters.len());
        let inserts: Vec<_> = letters.into_iter().map(keep).collect();
        call(span, stream::iter(inserts).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<()>()).await
    }

    async fn dead_letters(&self, after: Option<DeadLetterId>, limit: usize) -> Result<Vec<SealedLetter>> {
        let now = (self.inner.options.clock)();
        let first = DeadLetterId::first_kept_day(now).max(after.map_or(0, |id| id.day));
        let mut letters = Vec::new();
        // A clock of another writer may be ahead.
        for day in first..=DeadLetterId::day_of(now) + 1 {
            if letters.len() >= limit {
                break;
            }
            let digest = after.filter(|id| id.day == day).map_or(Vec::new(), |id| id.digest.to_vec());
            letters.extend(self.inner.dead_letters_of(day, digest, limit - letters.len()).await?);
        }
        Ok(letters)
    }

    async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<()> {
        let row = (&self.inner.options.region, id.day as i32, &id.digest[..]);
        self.inner.execute(TABLE, &self.inner.statements.dead_letters.delete, row).await.map(drop)
    }
}

impl Inner {
    async fn dead_letters_of(&self, day: u32, after: Vec<u8>, limit: usize) -> Result<Vec<SealedLetter>> {
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let key = (&self.options.region, day as i32, after, limit);
        let rows = self.query(TABLE, &self.statements.dead_letters.of_day, key).await?;
        let rows = rows.rows::<(Vec<u8>, Vec<u8>)>().map_err(|_| corrupt())?;
        rows.map(|row| {
            let (digest, content) = row.map_err(|_| corrupt())?;
            let digest = digest.try_into().map_err(|_| corrupt())?;
            Ok(SealedLetter { id: DeadLetterId { day, digest }, content })
        })
        .collect()
    }
}
