//! The audit log: append-only, without persons.

use async_trait::async_trait;
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::time::Time;

use crate::Result;

/// Appends to the audit log and reads it. There is no way to change or remove a record.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends a record. Durable when it returns. After an error whose outcome is unknown, appending again may leave it
    /// twice.
    async fn audit(&self, record: &AuditRecord) -> Result<()>;
    /// The records of this region since that moment, as JSON, oldest first: the first `limit` of them.
    async fn audited(&self, since: Time, limit: usize) -> Result<Vec<String>>;
}

/// Records that a service has read a file of the operator again, and whether it took it. Logs an error of the store:
/// what is in force does not depend on the record.
pub async fn record_reload(log: &dyn AuditLog, file: &'static str, accepted: bool, at: Time) {
    let entry = AuditEntry::FileReloaded { file: file.to_owned(), accepted };
    if let Err(error) = log.audit(&AuditRecord { at, entry }).await {
        tracing::warn!(file, %error, "a reload of the file is not in the audit log");
    }
}
