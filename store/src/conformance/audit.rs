//! The audit log.

use std::time::Duration;

use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::time::Time;

use super::{ConformanceError, Harness, ensure};

pub(super) async fn audit_records_read_back_in_order_and_stay(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    // Within the days that an engine reads, and of this case alone.
    let start = Time::from_millis(Time::from_secs(1_790_000_000).as_millis() + i64::from(rand::random::<u16>()));
    let record = |second: u64| {
        let checkpoint = Some(format!("gate-{}-{second}", start.as_millis()));
        let (operator, asked) = (None, second as u32);
        let entry = AuditEntry::DocumentLookups { checkpoint, operator, asked, refused: 0, forbidden: 0 };
        AuditRecord { at: start.plus(Duration::from_secs(second)), entry }
    };
    // Over midnight, and not in the order of their times.
    let seconds = [100_000, 5, 90_000, 0, 7];
    for second in seconds {
        store.audit(&record(second)).await?;
    }
    let store = harness.reopen(store).await;
    let mut expected = seconds;
    expected.sort_unstable();
    let mine = |found: Vec<String>| -> Vec<String> {
        found.into_iter().filter(|text| text.contains(&format!("gate-{}-", start.as_millis()))).collect()
    };
    let found = mine(store.audited(start, 1_000).await?);
    ensure!(found == expected.map(|second| record(second).to_json()), "{} of 5 records, or another order", found.len());
    let later = mine(store.audited(start.plus(Duration::from_secs(6)), 1_000).await?);
    ensure!(later == found[2..], "{} of 3 records since a moment", later.len());
    let first = store.audited(start, 1).await?;
    ensure!(first.len() == 1, "{} records where 1 was asked for", first.len());
    Ok(())
}
