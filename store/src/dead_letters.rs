//! Dead letters: rows that a writer could not understand, kept for [`yima_schema::dead_letter::KEPT_FOR`].

use async_trait::async_trait;
use yima_schema::dead_letter::DeadLetterId;

use crate::Result;

/// A letter as it is stored. The store cannot read it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// Its sealed content.
    pub content: Vec<u8>,
}

/// Keeps dead letters. They belong to a region.
#[async_trait]
pub trait DeadLetterStore: Send + Sync {
    /// Keeps letters; one with a known id replaces that. Durable when it returns.
    async fn keep_dead_letters(&self, letters: Vec<SealedLetter>) -> Result<()>;
    /// The first `limit` letters after an id, in ascending order.
    async fn dead_letters(&self, after: Option<DeadLetterId>, limit: usize) -> Result<Vec<SealedLetter>>;
    /// Removes a letter; a missing one is no error.
    async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<()>;
}
