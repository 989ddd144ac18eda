//! The audit log: append-only, without persons.

use async_trait::async_trait;
use yima_schema::audit::AuditRecord;
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
