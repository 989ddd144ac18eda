//! The region's own row: its epoch, whether it is being rebuilt, and the rules that its writers fold by.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Inner;
use crate::{Result, StoreError};

const TABLE: &str = "regions";

/// The row as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RegionState {
    pub(super) epoch: u16,
    pub(super) rebuilding: bool,
    pub(super) rules_version: u32,
}

/// The rules that this process folds by; 0 before [`crate::WriterStore::raise_rules`].
#[derive(Default)]
pub(super) struct FoldRules(AtomicU32);

impl FoldRules {
    pub(super) fn version(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, version: u32) {
        self.0.store(version, Ordering::Release);
    }
}

/// While views are missing, neither an absence nor the end of the feed proves anything.
pub(super) fn rebuilding() -> StoreError {
    StoreError::Unavailable("the region is being rebuilt".into())
}

impl Inner {
    /// Reads the row.
    pub(super) async fn region_state(&self) -> Result<RegionState> {
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let key = (self.options.region.as_str(),);
        let rows = self.query(TABLE, &self.statements.regions.region, key).await?;
        let row = rows.maybe_first_row::<(i32, Option<String>, Option<i32>)>().map_err(|_| corrupt())?;
        let (epoch, state, rules) = row.ok_or_else(corrupt)?;
        Ok(RegionState {
            epoch: u16::try_from(epoch).map_err(|_| corrupt())?,
            rebuilding: state.is_some_and(|state| state != "ready"),
            rules_version: rules.unwrap_or(0).unsigned_abs(),
        })
    }

    /// Called after a lookup that found no view: an absence may be reported only while the region is not being rebuilt.
    /// The row is read after the view, so a rebuild that dropped the view is seen.
    pub(super) async fn check_absence(&self, is_absent: bool) -> Result<()> {
        if !is_absent || self.rebuilds {
            return Ok(());
        }
        if self.region_state().await?.rebuilding { Err(rebuilding()) } else { Ok(()) }
    }

    /// Whether a stream that was just registered may be used. A rebuild looks for streams after it announced itself, so
    /// one of the two sees the other.
    pub(super) async fn check_may_write(&self) -> Result<()> {
        let state = self.region_state().await?;
        if state.rebuilding && !self.rebuilds {
            return Err(rebuilding());
        }
        if state.epoch != self.identity.epoch {
            return Err(StoreError::Rejected(
                "the region was rebuilt or restored after this process started: restart this process".into(),
            ));
        }
        Ok(())
    }

    /// See [`crate::WriterStore::raise_rules`].
    pub(super) async fn raise_rules(&self, version: u32) -> Result<u32> {
        self.rules.set(version);
        loop {
            let active = self.region_state().await?.rules_version;
            if active >= version {
                return Ok(active);
            }
            let values = (version as i32, self.options.region.as_str(), active as i32);
            match self.compare(TABLE, &self.statements.regions.raise_rules, values).await {
                Ok(true) => return Ok(version),
                // Another writer was faster, or the outcome is unknown: read the row again.
                Ok(false) | Err(StoreError::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
