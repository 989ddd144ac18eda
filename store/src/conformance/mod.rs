//! The conformance suite of all engines, written against the traits alone. An engine's tests call [`run`]; this crate's
//! own also run single cases against engines that are wrong on purpose, each of which has to fail its case.

mod audit;
mod bundle;
mod dead_letters;
mod events;
mod fixture;
mod marks;
mod resources;
mod streams;
mod views;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{AuditLog, BundleStore, DeadLetterStore, Feed, ResourceIndex, StoreError, WriterStore};

/// All traits of an engine at once.
pub trait Store: WriterStore + Feed + AuditLog + DeadLetterStore + ResourceIndex + BundleStore {}

impl<T: WriterStore + Feed + AuditLog + DeadLetterStore + ResourceIndex + BundleStore> Store for T {}

/// Starts an engine for a case.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An engine with any content; cases use subjects and streams of their own.
    async fn open(&self) -> Arc<dyn Store>;
    /// The same data as the next process finds it. `store` is the only handle to the old engine.
    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

/// Why an engine does not conform.
#[derive(Clone, PartialEq, Eq)]
pub struct ConformanceError(String);

impl fmt::Display for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<StoreError> for ConformanceError {
    fn from(error: StoreError) -> Self {
        Self(format!("a call failed: {error}"))
    }
}

impl From<tokio::task::JoinError> for ConformanceError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self("a task panicked".into())
    }
}

type Run = for<'a> fn(&'a dyn Harness) -> Pin<Box<dyn Future<Output = Result<(), ConformanceError>> + Send + 'a>>;

/// One property of an engine.
pub struct Case {
    /// The property, as a name.
    pub name: &'static str,
    run: Run,
}

impl Case {
    /// Checks the property.
    ///
    /// # Errors
    /// The violation.
    pub async fn run(&self, harness: &dyn Harness) -> Result<(), ConformanceError> {
        (self.run)(harness).await
    }
}

/// Checks every case and reports all failures, each by name.
///
/// # Errors
/// The names of the failed cases, with their violations.
pub async fn run(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let mut failures = Vec::new();
    for case in cases() {
        if let Err(failure) = case.run(harness).await {
            failures.push(format!("{}: {failure}", case.name));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(ConformanceError(failures.join("\n"))) }
}

macro_rules! cases {
    ($($module:ident: $($name:ident)+;)+) => {
        /// Every case, in the order of the data's flow.
        pub fn cases() -> Vec<Case> {
            vec![$($(Case { name: stringify!($name), run: |harness| Box::pin($module::$name(harness)) }),+),+]
        }
    };
}

cases! {
    events: an_event_is_new_and_then_a_duplicate
        another_content_conflicts_within_one_call
        another_content_conflicts_across_calls
        one_id_may_have_many_revisions
        outcomes_keep_the_order_of_the_events
        a_full_subject_takes_only_what_restricts
        events_read_back_exactly
        every_content_reported_new_is_kept
        append_all_takes_all_events_or_none
        append_all_stays_atomic_while_others_append;
    marks: publication_settles_marks
        marks_of_a_living_writer_are_not_unsettled;
    views: an_absent_view_is_none
        lookup_many_keeps_the_order
        a_write_at_the_expected_version_is_set
        a_write_at_another_version_is_lost
        the_second_of_two_writes_in_one_call_is_lost
        one_of_eight_contenders_wins_each_version
        the_epoch_bounds_versions;
    streams: stream_ids_are_never_reused
        concurrent_publishers_leave_no_gap
        a_published_change_can_be_read
        changes_come_in_pages
        a_sealed_stream_takes_no_more_changes
        a_restart_seals_streams_and_keeps_rows
        a_publication_wakes_a_follower;
    audit: audit_records_read_back_in_order_and_stay;
    dead_letters: a_dead_letter_is_kept_until_it_is_removed;
    resources: all_versions_of_a_resource_are_found;
    bundle: denials_are_there_once_their_view_is_set
        one_of_two_releases_replaces_the_index
        parts_and_an_emergency_are_kept;
}

/// Fails the case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::ConformanceError(format!($($message)+)));
        }
    };
}
use ensure;
