//! Progress of full scans.

use std::collections::BTreeMap;

use scylla::value::CqlTimestamp;
use yima_schema::time::Time;

use crate::cql::Inner;
use crate::{Progress, Result, StoreError};

const TABLE: &str = "progress";

impl Inner {
    pub(super) async fn progress(&self, task: &str) -> Result<Option<Progress>> {
        type Columns = (i64, Option<BTreeMap<String, i64>>, CqlTimestamp, CqlTimestamp);
        let corrupt = |_| StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.query(TABLE, &self.statements.jobs.progress, (task,)).await?;
        let row = rows.maybe_first_row::<Columns>().map_err(corrupt)?;
        Ok(row.map(|(upto, counts, started_at, updated_at)| Progress {
            upto,
            counts: counts.unwrap_or_default().into_iter().map(|(what, n)| (what, n as u64)).collect(),
            started_at: Time::from_millis(started_at.0),
            updated_at: Time::from_millis(updated_at.0),
        }))
    }

    pub(super) async fn save_progress(&self, task: &str, progress: &Progress) -> Result<()> {
        let counts: BTreeMap<&str, i64> = progress.counts.iter().map(|(what, n)| (what.as_str(), *n as i64)).collect();
        let time = |time: Time| CqlTimestamp(time.as_millis());
        let row = (task, progress.upto, counts, time(progress.started_at), time(progress.updated_at));
        self.execute(TABLE, &self.statements.jobs.save_progress, row).await.map(drop)
    }

    pub(super) async fn forget_progress(&self, task: &str) -> Result<()> {
        self.execute(TABLE, &self.statements.jobs.forget_progress, (task,)).await.map(drop)
    }
}
