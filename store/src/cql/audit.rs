//! The audit log: a partition for each day of a region.

use async_trait::async_trait;
use scylla::value::CqlTimestamp;
use yima_schema::audit::AuditRecord;
use yima_schema::time::Time;

use super::CqlStore;
use crate::{AuditLog, Result, StoreError};

const TABLE: &str = "audit";

#[async_trait]
impl AuditLog for CqlStore {
    async fn audit(&self, record: &AuditRecord) -> Result<()> {
        let Self { inner, .. } = self;
        let id = rand::random::<[u8; 8]>().to_vec();
        let at = CqlTimestamp(record.at.as_millis());
        let row = (inner.options.region.as_str(), day(record.at), at, id, record.to_json());
        inner.execute(TABLE, &inner.statements.audit.append, row).await.map(drop)
    }

    async fn audited(&self, since: Time, limit: usize) -> Result<Vec<String>> {
        let Self { inner, .. } = self;
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let mut records = Vec::new();
        for day in day(since)..=day((inner.options.clock)()) {
            let left = i32::try_from(limit - records.len()).unwrap_or(i32::MAX);
            if left == 0 {
                break;
            }
            let key = (inner.options.region.as_str(), day, CqlTimestamp(since.as_millis()), left);
            let rows = inner.query(TABLE, &inner.statements.audit.since, key).await?;
            for row in rows.rows::<(String,)>().map_err(|_| corrupt())? {
                records.push(row.map_err(|_| corrupt())?.0);
            }
        }
        Ok(records)
    }
}

/// Days since 1970.
fn day(at: Time) -> i32 {
    i32::try_from(at.utc_day()).unwrap_or(i32::MAX)
}
