//! The region's own row: its epoch, whether it is being rebuilt, and the rules that its writers fold by.

use std::sync::atomic::Ordering;

use super::fault::fault;
use super::{Inner, was_applied};
use crate::{Result, StoreError};

const TABLE: &str = "regions";

/// What the row says now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RegionState {
    pub(super) epoch: u16,
    pub(super) rebuilding: bool,
    pub(super) rules_version: u32,
}

/// Nothing can be said about who is not there, nor about what was published.
pub(super) fn rebuilding() -> StoreError {
    StoreError::Unavailable("the region is being rebuilt".into())
}

impl Inner {
    /// Reads the row.
    pub(super) async fn region_state(&self) -> Result<RegionState> {
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let asked = (self.options.region.as_str(),);
        let found =
            self.session.execute_unpaged(&self.statements.regions.region, asked).await.map_err(|e| fault(TABLE, &e))?;
        let rows = found.into_rows_result().map_err(|_| corrupt())?;
        let row = rows.maybe_first_row::<(i32, Option<String>, Option<i32>)>().map_err(|_| corrupt())?;
        let (epoch, state, rules) = row.ok_or_else(corrupt)?;
        Ok(RegionState {
            epoch: u16::try_from(epoch).map_err(|_| corrupt())?,
            rebuilding: state.is_some_and(|state| state != "ready"),
            rules_version: rules.unwrap_or(0).unsigned_abs(),
        })
    }

    /// Whoever found nobody asks this afterwards: while the views are made again, or were before this program knew, nobody can be told to
    /// be absent.
    pub(super) async fn if_ready(&self, is_absent: bool) -> Result<()> {
        if !is_absent || self.rebuilds {
            return Ok(());
        }
        if self.region_state().await?.rebuilding { Err(rebuilding()) } else { Ok(()) }
    }

    /// Whether a stream that was just registered may be used. A rebuild looks for streams after it said that it rebuilds, so one of the
    /// two sees the other.
    pub(super) async fn may_write(&self) -> Result<()> {
        let state = self.region_state().await?;
        if state.rebuilding && !self.rebuilds {
            return Err(rebuilding());
        }
        if state.epoch != self.identity.epoch {
            return Err(StoreError::Rejected(
                "the region was rebuilt or restored since this process began: start it again".into(),
            ));
        }
        Ok(())
    }

    /// See [`crate::WriterStore::raise_rules`].
    pub(super) async fn raise_rules(&self, version: u32) -> Result<u32> {
        self.rules.store(version, Ordering::Release);
        loop {
            let active = self.region_state().await?.rules_version;
            if active >= version {
                return Ok(active);
            }
            let values = (version as i32, self.options.region.as_str(), active as i32);
            let set = self.session.execute_unpaged(&self.statements.regions.raise_rules, values).await;
            match set.map_err(|e| fault(TABLE, &e)).and_then(|set| was_applied(TABLE, set)) {
                Ok(true) => return Ok(version),
                // Somebody else was faster, or nobody knows: then the row tells.
                Ok(false) | Err(StoreError::TimedOut) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}
