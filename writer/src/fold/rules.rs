//! The rules that a folder derives by, and whether the region has newer ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yima_schema::rules::Rules;
use yima_store::{StoreError, WriterStore};

use super::plan::outdated;

/// A folder's rules. Once newer rules were seen in the region, nothing may be acknowledged.
pub(super) struct RulesGuard {
    rules: Arc<Rules>,
    outdated: AtomicBool,
}

impl RulesGuard {
    /// Makes `rules` the region's rules if they are newer.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub(super) async fn raise(store: &dyn WriterStore, rules: Arc<Rules>) -> Result<Self, StoreError> {
        let active = store.raise_rules(rules.version).await?;
        if active > rules.version {
            return Err(outdated(active, rules.version));
        }
        Ok(Self { rules, outdated: AtomicBool::new(false) })
    }

    /// The rules.
    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Reads the version of the region's rules and remembers whether it is newer.
    ///
    /// # Errors
    /// The store's; `Rejected` if the region's rules are newer.
    pub(super) async fn check(&self, store: &dyn WriterStore) -> Result<(), StoreError> {
        let active = store.active_rules().await?;
        if active > self.rules.version {
            self.note_outdated();
            return Err(outdated(active, self.rules.version));
        }
        Ok(())
    }

    /// Remembers that newer rules were seen.
    pub(super) fn note_outdated(&self) {
        self.outdated.store(true, Ordering::Release);
    }

    /// Whether newer rules were seen.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Acquire)
    }
}
