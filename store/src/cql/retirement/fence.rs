//! The fence: a process whose region was retired reads and writes nothing more, for as long as it runs.
//!
//! It learns of it from its own datacenter or any other one. A region that reaches no other, and whose own datacenter
//! was not told, cannot know: it goes on, and what it acknowledges stays on its own disks until it rejoins.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use scylla::client::session::Session;

use super::{Retirement, of_own_region};
use crate::cql::{CqlOptions, CqlStore, Inner};
use crate::{Result, StoreError};

/// Interval between two looks at the retirements.
const EVERY: Duration = Duration::from_secs(5);

/// Whether this process' region was seen retired.
#[derive(Default)]
pub(in crate::cql) struct Fence(OnceLock<Retirement>);

impl Fence {
    /// # Errors
    /// `Unavailable` once the region was seen retired.
    pub(in crate::cql) fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(retirement) => Err(StoreError::Unavailable(retirement.refusal())),
        }
    }
}

/// Checks at the start that the region is not retired.
///
/// # Errors
/// `Rejected` if it is.
pub(in crate::cql) async fn check_at_start(session: &Session, options: &CqlOptions) -> Result<()> {
    // Without an answer, or without the table (an older schema), the checks that follow find out more.
    match of_own_region(session, options).await {
        Ok(Some(retirement)) if retirement.is_out_of_service() => Err(StoreError::Rejected(retirement.refusal())),
        Ok(Some(_) | None) | Err(_) => Ok(()),
    }
}

/// Looks until the store is dropped or the region was retired.
pub(in crate::cql) async fn watch(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(store) = inner.upgrade() else { return };
        // Without an answer the last state stands.
        if let Ok(Some(retirement)) = of_own_region(&store.session, &store.options).await
            && retirement.is_out_of_service()
        {
            tracing::error!(why = retirement.refusal(), "this region was retired; this process stops serving");
            // Set once: the only call.
            let _ = store.fence.0.set(retirement);
            return;
        }
    }
}

impl CqlStore {
    /// The retirement of this region, once this process has seen it: from then on it reads and writes nothing.
    pub fn own_retirement(&self) -> Option<&Retirement> {
        self.inner.fence.0.get()
    }
}
