//! The audit log: a table by time.

use async_trait::async_trait;
use fjall::Slice;
use yima_schema::audit::AuditRecord;
use yima_schema::time::Time;

use super::EmbeddedStore;
use super::group_commit::Group;
use crate::{AuditLog, Result};

#[async_trait]
impl AuditLog for EmbeddedStore {
    async fn audit(&self, record: &AuditRecord) -> Result<()> {
        let (key, text) = row(record);
        let bytes = key.len() + text.len();
        let insert = move |group: &mut Group<'_>| {
            group.rows.insert(group.tables.audit.keyspace(), key, text.as_str());
            Ok(())
        };
        self.queue()?.submit(bytes, insert).await
    }

    async fn audited(&self, since: Time, limit: usize) -> Result<Vec<String>> {
        self.blocking(move |tables| {
            let text = |row: Result<(Slice, Slice)>| {
                String::from_utf8(row?.1.to_vec()).map_err(|_| tables.audit.corrupt("a record"))
            };
            tables.audit.range(key(since, 0)..).take(limit).map(text).collect()
        })
        .await
    }
}

/// Key and value of a record. Records of one millisecond come in any order.
pub(super) fn row(record: &AuditRecord) -> ([u8; 16], String) {
    (key(record.at, rand::random()), record.to_json())
}

/// Moment (8, big endian, nothing before 1970) and a random number (8).
fn key(at: Time, random: u64) -> [u8; 16] {
    let at = u64::try_from(at.as_millis()).unwrap_or_default();
    (u128::from(at) << 64 | u128::from(random)).to_be_bytes()
}
