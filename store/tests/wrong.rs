//! Engines that are wrong on purpose: the embedded one behind a defect.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use yima_schema::audit::AuditRecord;
use yima_schema::change::Change;
use yima_schema::code::DenialTag;
use yima_schema::dead_letter::DeadLetterId;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::embedded::EmbeddedStore;
use yima_store::{
    Appended, AuditLog, BundleReader, BundleStore, CompareAndSet, DeadLetterStore, EventReader, Feed, Mark, Published,
    Registry, ResourceIndex, ResourceVersion, Result, SealedLetter, StoredIndex, StreamId, VersionedView, ViewReader,
    ViewWrite, WriterStore,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    SetsUnconditionally,
    LosesEveryWrite,
    DropsAnEvent,
    DuplicateForConflict,
    NewForDuplicate,
    NeverFull,
    TakesSomeOfAll,
    ReversesLookups,
    LeavesAGap,
    ReportsAnOldLast,
    IgnoresPages,
    PublishesWhenSealed,
    ForgetsMarks,
    KeepsMarks,
    ReturnsLivingMarks,
    NeverWakes,
    ForgetsStreams,
    ForgetsRecords,
    LosesLetters,
    ForgetsVersions,
    ForgetsDenials,
    ReplacesAnyIndex,
    ForgetsParts,
}

impl Defect {
    /// Each defect with a case that has to notice it.
    pub const CAUGHT_BY: &[(Self, &str)] = &[
        (Self::SetsUnconditionally, "a_write_at_another_version_is_lost"),
        (Self::SetsUnconditionally, "the_second_of_two_writes_in_one_call_is_lost"),
        (Self::SetsUnconditionally, "one_of_eight_contenders_wins_each_version"),
        (Self::LosesEveryWrite, "a_write_at_the_expected_version_is_set"),
        (Self::DropsAnEvent, "events_read_back_exactly"),
        (Self::DropsAnEvent, "an_event_is_new_and_then_a_duplicate"),
        (Self::DuplicateForConflict, "another_content_conflicts_within_one_call"),
        (Self::DuplicateForConflict, "another_content_conflicts_across_calls"),
        (Self::DuplicateForConflict, "outcomes_keep_the_order_of_the_events"),
        (Self::NewForDuplicate, "an_event_is_new_and_then_a_duplicate"),
        (Self::NeverFull, "a_full_subject_takes_only_what_restricts"),
        (Self::TakesSomeOfAll, "append_all_takes_all_events_or_none"),
        (Self::TakesSomeOfAll, "append_all_stays_atomic_while_others_append"),
        (Self::ReversesLookups, "lookup_many_keeps_the_order"),
        (Self::LeavesAGap, "concurrent_publishers_leave_no_gap"),
        (Self::LeavesAGap, "changes_come_in_pages"),
        (Self::ReportsAnOldLast, "a_sealed_stream_takes_no_more_changes"),
        (Self::IgnoresPages, "changes_come_in_pages"),
        (Self::PublishesWhenSealed, "a_sealed_stream_takes_no_more_changes"),
        (Self::ForgetsMarks, "publication_settles_marks"),
        (Self::KeepsMarks, "publication_settles_marks"),
        (Self::ReturnsLivingMarks, "marks_of_a_living_writer_are_not_unsettled"),
        (Self::NeverWakes, "a_publication_wakes_a_follower"),
        (Self::ForgetsStreams, "a_restart_seals_streams_and_keeps_rows"),
        (Self::ForgetsRecords, "audit_records_read_back_in_order_and_stay"),
        (Self::LosesLetters, "a_dead_letter_is_kept_until_it_is_removed"),
        (Self::ForgetsVersions, "all_versions_of_a_resource_are_found"),
        (Self::ForgetsDenials, "denials_are_there_once_their_view_is_set"),
        (Self::ReplacesAnyIndex, "one_of_two_releases_replaces_the_index"),
        (Self::ForgetsParts, "parts_and_an_emergency_are_kept"),
    ];
}

fn mark(number: u64) -> Mark {
    Mark { stream: StreamId(0), number }
}

pub struct Wrong {
    pub store: Arc<EmbeddedStore>,
    pub defect: Defect,
}

impl Wrong {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl ViewReader for Wrong {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        self.store.lookup(subject).await
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let mut found = self.store.lookup_many(subjects).await?;
        if self.is(Defect::ReversesLookups) {
            found.reverse();
        }
        Ok(found)
    }
}

#[async_trait]
impl EventReader for Wrong {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let mut found = self.store.events(subjects).await?;
        if self.is(Defect::DropsAnEvent) {
            found.iter_mut().for_each(|events| drop(events.pop()));
        }
        Ok(found)
    }

    async fn are_stored(&self, events: &[&StoredEvent]) -> Result<Vec<bool>> {
        self.store.are_stored(events).await
    }
}

#[async_trait]
impl Feed for Wrong {
    async fn registry(&self) -> Result<Registry> {
        let mut registry = self.store.registry().await?;
        if self.is(Defect::ReportsAnOldLast) {
            registry.streams.iter_mut().for_each(|s| s.last = s.last.saturating_sub(1));
        }
        if self.is(Defect::ForgetsStreams) {
            registry.streams.retain(|s| s.open);
        }
        Ok(registry)
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let limit = if self.is(Defect::IgnoresPages) { 10_000 } else { limit };
        let mut rows = self.store.changes(stream, after, limit).await?;
        if self.is(Defect::LeavesAGap) {
            rows.retain(|row| row.0 != 2);
        }
        Ok(rows)
    }

    async fn woken(&self) {
        if self.is(Defect::NeverWakes) {
            std::future::pending::<()>().await;
        }
        self.store.woken().await;
    }
}

#[async_trait]
impl WriterStore for Wrong {
    fn region(&self) -> &str {
        self.store.region()
    }

    fn epoch(&self) -> u16 {
        self.store.epoch()
    }

    fn turn_events(&self) -> Option<NonZeroU32> {
        self.store.turn_events()
    }

    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        let outcomes = self.store.append(events).await?.into_iter();
        let falsify = |outcome| match outcome {
            Appended::Conflict if self.is(Defect::DuplicateForConflict) => Appended::Duplicate(mark(0)),
            Appended::Duplicate(mark) if self.is(Defect::NewForDuplicate) => Appended::New(mark),
            Appended::Full if self.is(Defect::NeverFull) => Appended::New(mark(0)),
            Appended::New(_)
            | Appended::Duplicate(_)
            | Appended::Folded
            | Appended::Settled
            | Appended::Conflict
            | Appended::Full
            | Appended::NotTried => outcome,
        };
        Ok(outcomes.map(falsify).collect())
    }

    async fn append_all(&self, events: Vec<StoredEvent>) -> Result<Vec<Appended>> {
        if self.is(Defect::TakesSomeOfAll) {
            return self.store.append(events).await;
        }
        self.store.append_all(events).await
    }

    async fn compare_and_set(&self, mut writes: Vec<ViewWrite>) -> Result<Vec<CompareAndSet>> {
        if self.is(Defect::ForgetsDenials) {
            writes.iter_mut().for_each(|write| write.denials.clear());
        }
        if self.is(Defect::LosesEveryWrite) {
            return Ok(vec![CompareAndSet::Lost; writes.len()]);
        }
        if !self.is(Defect::SetsUnconditionally) {
            return self.store.compare_and_set(writes).await;
        }
        let count = writes.len();
        for mut write in writes {
            write.expected = self.store.lookup(write.subject).await?.map_or(Version::ABSENT, |found| found.version);
            write.next = write.next.max(Version(write.expected.0 + 1));
            self.store.compare_and_set(vec![write]).await?;
        }
        Ok(vec![CompareAndSet::Set; count])
    }

    async fn open_stream(&self) -> Result<StreamId> {
        self.store.open_stream().await
    }

    async fn publish(&self, stream: StreamId, changes: Vec<Change>, marks: Vec<Mark>) -> Result<Published> {
        let marks = if self.is(Defect::KeepsMarks) { Vec::new() } else { marks };
        let published = self.store.publish(stream, changes, marks).await?;
        Ok(if self.is(Defect::PublishesWhenSealed) { Published::Open } else { published })
    }

    async fn close_stream(&self, stream: StreamId) -> Result<()> {
        self.store.close_stream(stream).await
    }

    async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        match self.defect {
            Defect::ForgetsMarks => Ok(Vec::new()),
            // As an engine would answer that returns every mark.
            Defect::ReturnsLivingMarks => {
                let streams = self.store.registry().await?.streams;
                let mut unsettled = self.store.unsettled().await?;
                for stream in streams {
                    let changes = self.store.changes(stream.id, 0, 10).await?;
                    unsettled.extend(
                        changes.into_iter().filter_map(|(number, change)| Some((mark(number), change?.subject))),
                    );
                }
                Ok(unsettled)
            }
            Defect::SetsUnconditionally
            | Defect::LosesEveryWrite
            | Defect::DropsAnEvent
            | Defect::DuplicateForConflict
            | Defect::NewForDuplicate
            | Defect::NeverFull
            | Defect::TakesSomeOfAll
            | Defect::ReversesLookups
            | Defect::LeavesAGap
            | Defect::ReportsAnOldLast
            | Defect::IgnoresPages
            | Defect::PublishesWhenSealed
            | Defect::KeepsMarks
            | Defect::NeverWakes
            | Defect::ForgetsStreams
            | Defect::ForgetsRecords
            | Defect::LosesLetters
            | Defect::ForgetsVersions
            | Defect::ForgetsDenials
            | Defect::ReplacesAnyIndex
            | Defect::ForgetsParts => self.store.unsettled().await,
        }
    }
}

#[async_trait]
impl AuditLog for Wrong {
    async fn audit(&self, record: &AuditRecord) -> Result<()> {
        if self.is(Defect::ForgetsRecords) { Ok(()) } else { self.store.audit(record).await }
    }

    async fn audited(&self, since: Time, limit: usize) -> Result<Vec<String>> {
        self.store.audited(since, limit).await
    }
}

#[async_trait]
impl DeadLetterStore for Wrong {
    async fn keep_dead_letters(&self, mut letters: Vec<SealedLetter>) -> Result<()> {
        if self.is(Defect::LosesLetters) {
            letters.pop();
        }
        self.store.keep_dead_letters(letters).await
    }

    async fn dead_letters(&self, after: Option<DeadLetterId>, limit: usize) -> Result<Vec<SealedLetter>> {
        self.store.dead_letters(after, limit).await
    }

    async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<()> {
        self.store.remove_dead_letter(id).await
    }
}

#[async_trait]
impl ResourceIndex for Wrong {
    async fn note_resources(&self, versions: Vec<ResourceVersion>) -> Result<()> {
        self.store.note_resources(versions).await
    }

    async fn resource_versions(&self, agency: &str, id: &str) -> Result<Vec<ResourceVersion>> {
        let mut found = self.store.resource_versions(agency, id).await?;
        if self.is(Defect::ForgetsVersions) {
            found.drain(..found.len().saturating_sub(1));
        }
        Ok(found)
    }
}

#[async_trait]
impl BundleReader for Wrong {
    async fn bundle_index(&self) -> Result<Option<StoredIndex>> {
        self.store.bundle_index().await
    }

    async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>> {
        if self.is(Defect::ForgetsParts) { Ok(None) } else { self.store.bundle_part(sha256).await }
    }
}

#[async_trait]
impl BundleStore for Wrong {
    async fn lease_bundle(&self) -> Result<bool> {
        self.store.lease_bundle().await
    }

    async fn denials(&self, slot: i64, since: Time, limit: usize) -> Result<Vec<DenialTag>> {
        self.store.denials(slot, since, limit).await
    }

    async fn keep_bundle_part(&self, sha256: [u8; 32], part: Bytes) -> Result<()> {
        self.store.keep_bundle_part(sha256, part).await
    }

    async fn replace_bundle_index(&self, expected: Option<Time>, index: StoredIndex) -> Result<bool> {
        let found = self.store.bundle_index().await?.map(|index| index.released_at);
        let expected = if self.is(Defect::ReplacesAnyIndex) { found } else { expected };
        self.store.replace_bundle_index(expected, index).await
    }

    async fn emergency(&self) -> Result<Option<Vec<u8>>> {
        self.store.emergency().await
    }

    async fn set_emergency(&self, emergency: Option<Vec<u8>>) -> Result<()> {
        self.store.set_emergency(emergency).await
    }
}
