//! Keeps rows with a result that is or may be positive and that was not understood, and hands them out again. Each is
//! counted by its code, so that the operator adds the code before anybody with such a result stays green for long.

use std::sync::Arc;
use std::time::Duration;

use yima_schema::dead_letter::{DeadLetter, DeadLetterId};
use yima_schema::seal::SealKeys;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::{DAY, Time};
use yima_service::rate_limit::{RateConfig, RateLimiter};
use yima_store::{DeadLetterStore, Result, SealedLetter, StoreError};

use crate::bounded_labels::{BoundedLabels, OTHER};
use crate::decode::UnreadPositive;

/// Letters of one agency that a writer keeps in a day: a sender must not fill the disk.
const LETTERS: u32 = 1_000;
const WINDOW: Duration = DAY;
/// Most codes with a series of their own.
const MAX_CODES: usize = 100;
/// Letters read together.
const PAGE: usize = 200;

/// The dead letters of a region.
pub(crate) struct DeadLetters {
    store: Arc<dyn DeadLetterStore>,
    keys: SealKeys,
    pseudonyms: PseudonymKey,
    rate: RateLimiter,
    codes: BoundedLabels,
}

impl DeadLetters {
    /// Over a store. Letters are sealed by a key derived from `pseudonyms`, which every writer has.
    pub(crate) fn new(store: Arc<dyn DeadLetterStore>, pseudonyms: PseudonymKey) -> Self {
        // From the start, so that the first one is an increase.
        metrics::counter!("unread_positives_total", "code" => OTHER).increment(0);
        for outcome in ["kept", "dropped", "replayed"] {
            metrics::counter!("dead_letters_total", "outcome" => outcome).increment(0);
        }
        let keys = pseudonyms.seal_keys("dead letter");
        let rate = RateLimiter::new("dead_letters", &RateConfig::new(LETTERS, WINDOW));
        Self { store, keys, pseudonyms, rate, codes: BoundedLabels::new(MAX_CODES) }
    }

    /// Keeps the rows of an agency that were received at `now`; those beyond its bound are dropped and counted.
    ///
    /// # Errors
    /// The store's; some rows may be kept.
    pub(crate) async fn keep(&self, agency: &str, now: Time, rows: &[UnreadPositive]) -> Result<()> {
        for row in rows {
            let code = row.code.as_deref().map_or_else(|| OTHER.to_owned(), |code| self.codes.label(code));
            metrics::counter!("unread_positives_total", "code" => code).increment(1);
        }
        let within = |_: &&UnreadPositive| self.rate.check(self.rate.key(agency), 1).is_ok();
        let letters: Vec<_> = rows.iter().filter(within).map(|row| self.seal(agency, now, row)).collect();
        metrics::counter!("dead_letters_total", "outcome" => "dropped").increment((rows.len() - letters.len()) as u64);
        if letters.is_empty() {
            return Ok(());
        }
        let kept = letters.len() as u64;
        self.store.keep_dead_letters(letters).await?;
        metrics::counter!("dead_letters_total", "outcome" => "kept").increment(kept);
        Ok(())
    }

    fn seal(&self, agency: &str, now: Time, row: &UnreadPositive) -> SealedLetter {
        let content = [agency.as_bytes(), b"\0", &row.resource[..]].concat();
        let letter = DeadLetter {
            agency: agency.to_owned(),
            received_at: now,
            subject: row.person.subject,
            document: row.person.document.clone(),
            document_type: row.person.document_type,
            code: row.code.clone(),
            reason: row.problem.detail.clone(),
            resource: row.resource.to_vec(),
        };
        let id = DeadLetterId::new(now, self.pseudonyms.content_digest(row.person.subject, &content));
        SealedLetter { id, content: letter.seal(&self.keys) }
    }

    /// Up to 200 letters after an id, in ascending order.
    ///
    /// # Errors
    /// The store's; `Corrupt` for a letter that another key sealed.
    pub(crate) async fn page(&self, after: Option<DeadLetterId>) -> Result<Vec<(DeadLetterId, DeadLetter)>> {
        let corrupt = |_| StoreError::Corrupt { table: "dead_letters", what: "a letter of another key".into() };
        let open = |SealedLetter { id, content }| Ok((id, DeadLetter::open(content, &self.keys).map_err(corrupt)?));
        self.store.dead_letters(after, PAGE).await?.into_iter().map(open).collect()
    }

    /// Removes a letter that was replayed.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn remove(&self, id: DeadLetterId) -> Result<()> {
        self.store.remove_dead_letter(id).await?;
        metrics::counter!("dead_letters_total", "outcome" => "replayed").increment(1);
        Ok(())
    }

    /// Drops rate limits that are full again.
    pub(crate) fn sweep(&self) {
        self.rate.sweep();
    }
}
