//! Fixtures of the cases: subjects, events, views and changes.

use std::sync::Arc;

use bytes::Bytes;
use yima_schema::change::{Change, SpanRef};
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};

use super::{ConformanceError, Store, ensure};
use crate::{Appended, CompareAndSet, Published, StreamId, ViewWrite};

/// A subject of its own for each case: cases may share a store.
pub(super) fn subject() -> SubjectId {
    SubjectId::from_bytes(rand::random())
}

/// A test result that differs from others by id, revision and second.
pub(super) fn event(subject: SubjectId, id: &str, revision: u64, second: i64) -> StoredEvent {
    let event = Event {
        subject,
        agency: "lab-7".into(),
        id: id.into(),
        revision,
        document: "610102********0016".into(),
        occurred_at: Time::from_secs(1_790_000_000 + second),
        data: EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative },
    };
    StoredEvent::new(event, Time::from_secs(1_790_000_100))
}

/// A view that differs from others by a number.
pub(super) fn view(number: u32) -> Bytes {
    View { rules_version: number, ..View::default() }.encode()
}

/// A change that differs from others by its version.
pub(super) fn change(subject: SubjectId, version: u64) -> Change {
    // Every other change is traced, so that streams hold both kinds.
    let traced = version.is_multiple_of(2).then_some(SpanRef { trace: [0xaa; 16], span: [0xbb; 8] });
    Change { subject, version: Version(version), view: view(version as u32), traced }
}

/// A write of a view.
pub(super) fn write(subject: SubjectId, expected: Version, next: Version, number: u32) -> ViewWrite {
    ViewWrite { subject, expected, next, view: view(number), denials: Vec::new() }
}

/// Appends one event.
pub(super) async fn append_one(store: &dyn Store, event: StoredEvent) -> Result<Appended, ConformanceError> {
    let outcomes = store.append(vec![event]).await?;
    ensure!(outcomes.len() == 1, "one event had {} outcomes", outcomes.len());
    Ok(outcomes[0])
}

/// Writes one view.
pub(super) async fn set_one(store: &dyn Store, write: ViewWrite) -> Result<CompareAndSet, ConformanceError> {
    let outcomes = store.compare_and_set(vec![write]).await?;
    ensure!(outcomes.len() == 1, "one write had {} outcomes", outcomes.len());
    Ok(outcomes[0])
}

/// Publishes changes that settle nothing.
pub(super) async fn publish(store: &dyn Store, stream: StreamId, changes: Vec<Change>) -> Result<(), ConformanceError> {
    let published = store.publish(stream, changes, Vec::new()).await?;
    ensure!(published == Published::Open, "an open stream refused a change");
    Ok(())
}

/// All rows of a stream, read in pages.
pub(super) async fn all_changes(
    store: &Arc<dyn Store>,
    stream: StreamId,
) -> Result<Vec<(u64, Change)>, ConformanceError> {
    let mut rows: Vec<(u64, Change)> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |r| r.0);
        let page = store.changes(stream, after, 100).await?;
        ensure!(page.len() <= 100, "a page of 100 had {} rows", page.len());
        ensure!(page.iter().all(|r| r.0 > after), "a page has rows at or below its position");
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page.into_iter().filter_map(|(number, change)| Some((number, change?))));
    }
}
