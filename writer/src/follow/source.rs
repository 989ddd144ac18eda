//! The marks of one stream, from the saved position on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use yima_schema::mark::EventName;
use yima_schema::time::Time;
use yima_store::{MarkFeed, Place, Source, StoreError, Watermark};

use crate::fold::Folder;

/// Marks read in one call, and folded together.
const PAGE: usize = 1_000;
/// Largest number of marks that wait for their events; no more are read beyond it.
const MAX_WAITING: usize = 20_000;
/// Age at which an event or mark that has not arrived is read in its source region; also the time between such reads.
const FETCH_AFTER: Duration = Duration::from_secs(2);

/// The follower of one stream's marks.
pub(super) struct StreamFollower {
    /// Marks that are folded and published, void, or missed.
    done: Watermark,
    /// Marks whose events have not arrived or are not folded, by number.
    waiting: BTreeMap<u64, WaitingMark>,
    /// Since when a number that was written has been missing here.
    missing_since: Option<Instant>,
    as_of: Time,
    /// `taken` and `as_of` of the oldest heartbeat whose marks are not all done. Newer ones may come faster than marks
    /// arrive: if only the newest counted, `as_of` could stand still for as long as the load lasts.
    goal: Option<(u64, Time)>,
    /// The position and time saved last.
    settled: Option<(u64, Time)>,
}

struct WaitingMark {
    event: EventName,
    fetch_at: Instant,
}

/// The outcome of a followed mark.
#[derive(Clone, Copy)]
enum MarkOutcome {
    /// Its subject was folded.
    Folded,
    /// Its event was fetched from the source region, then its subject was folded.
    Fetched,
    /// Its event does not exist: the writer died before it wrote the event.
    Void,
    /// It expired before it was read: a reconciliation finds its event.
    Missed,
    /// Its subject's data cannot be read.
    Corrupt,
}

impl MarkOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Folded => "folded",
            Self::Fetched => "fetched",
            Self::Void => "void",
            Self::Missed => "missed",
            Self::Corrupt => "corrupt",
        }
    }
}

impl StreamFollower {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            done: Watermark::new(source.position),
            waiting: BTreeMap::new(),
            missing_since: None,
            as_of: source.settled_as_of,
            goal: None,
            settled: None,
        }
    }

    /// Makes every waiting mark as old as [`FETCH_AFTER`].
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        let long_ago = Instant::now().checked_sub(FETCH_AFTER).expect("the machine has been up for longer");
        self.waiting.values_mut().for_each(|mark| mark.fetch_at = long_ago);
        self.missing_since = self.missing_since.and(Some(long_ago));
    }

    /// Number of marks that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Reads new marks, folds the events that have arrived, fetches those that are late, and saves the position.
    pub(super) async fn follow(
        &mut self,
        source: &Source,
        marks: &dyn MarkFeed,
        folder: &Folder,
    ) -> Result<(), StoreError> {
        self.read(source, Place::Here, marks).await?;
        let resolved = self.resolve_missing(source, marks).await;
        // Also if the source region does not answer: what has arrived here is folded all the same.
        self.fold_arrived(source, marks, folder).await?;
        let missed = resolved?;
        self.fetch_late(source, marks, folder).await?;
        // After a missed mark its event may be missing.
        if !source.missed && !missed {
            self.advance(source);
        }
        let now = (self.done.upto(), self.as_of);
        if self.settled != Some(now) {
            marks.settle(source, now.0, now.1).await?;
            self.settled = Some(now);
        }
        Ok(())
    }

    /// Moves `as_of` to a heartbeat by which the writer had made no mark that is not folded and published.
    fn advance(&mut self, source: &Source) {
        let newest = (source.taken, source.as_of);
        let oldest = *self.goal.get_or_insert(newest);
        for (taken, as_of) in [oldest, newest] {
            if self.done.upto() >= taken {
                self.as_of = as_of;
                self.goal = (self.done.upto() < newest.0).then_some(newest);
            }
        }
    }

    /// Reads every mark that exists at `place`, also beyond gaps.
    async fn read(&mut self, source: &Source, place: Place, marks: &dyn MarkFeed) -> Result<(), StoreError> {
        let mut seen = self.done.upto();
        while self.waiting.len() < MAX_WAITING {
            let rows = marks.marks(source, place, seen, PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            seen = *last;
            for (number, event) in rows {
                match event {
                    None => self.done.add(number),
                    Some(event) if !self.done.contains(number) => {
                        let fetch_at = Instant::now() + FETCH_AFTER;
                        self.waiting.entry(number).or_insert(WaitingMark { event, fetch_at });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Numbers that were written and are missing here may still be on their way; when they are late, they are read in
    /// the source region. Marks missing there too have expired, and an operator has to reconcile; returns whether there
    /// are such marks.
    async fn resolve_missing(&mut self, source: &Source, marks: &dyn MarkFeed) -> Result<bool, StoreError> {
        // The limit is tested first: far behind the stream's end, the list of missing numbers is long.
        if self.waiting.len() >= MAX_WAITING || self.missing(source).is_empty() {
            self.missing_since = None;
            return Ok(false);
        }
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() < FETCH_AFTER {
            return Ok(false);
        }
        self.read(source, Place::Source, marks).await?;
        self.missing_since = None;
        let missed = self.missing(source);
        if missed.is_empty() || self.waiting.len() >= MAX_WAITING {
            return Ok(false);
        }
        marks.missed(source).await?;
        tracing::error!(
            region = source.region,
            marks = missed.len(),
            "marks expired before they were followed: run yima reconcile"
        );
        count(source, MarkOutcome::Missed, missed.len());
        missed.into_iter().for_each(|number| self.done.add(number));
        Ok(true)
    }

    /// Numbers that the stream's writer has written and that were not read here.
    fn missing(&self, source: &Source) -> Vec<u64> {
        let unknown = |number: &u64| !self.done.contains(*number) && !self.waiting.contains_key(number);
        (self.done.upto() + 1..=source.written).filter(unknown).collect()
    }

    async fn fold_arrived(&mut self, source: &Source, marks: &dyn MarkFeed, folder: &Folder) -> Result<(), StoreError> {
        let all: Vec<u64> = self.waiting.keys().copied().collect();
        for numbers in all.chunks(PAGE) {
            let arrived = marks.arrived(&self.events(numbers)).await?;
            self.fold(source, folder, numbers, &arrived, MarkOutcome::Folded).await?;
        }
        Ok(())
    }

    async fn fetch_late(&mut self, source: &Source, marks: &dyn MarkFeed, folder: &Folder) -> Result<(), StoreError> {
        let now = Instant::now();
        let late = self.waiting.iter().filter(|(_, mark)| mark.fetch_at <= now);
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for numbers in late.chunks(PAGE) {
            for number in numbers {
                if let Some(mark) = self.waiting.get_mut(number) {
                    mark.fetch_at = now + FETCH_AFTER;
                }
            }
            let fetched = marks.fetch(source, &self.events(numbers)).await?;
            self.fold(source, folder, numbers, &fetched, MarkOutcome::Fetched).await?;
            if !source.open {
                let void: Vec<u64> =
                    numbers.iter().copied().filter(|number| self.waiting.remove(number).is_some()).collect();
                count(source, MarkOutcome::Void, void.len());
                void.into_iter().for_each(|number| self.done.add(number));
            }
        }
        Ok(())
    }

    fn events(&self, numbers: &[u64]) -> Vec<EventName> {
        numbers.iter().filter_map(|number| self.waiting.get(number)).map(|mark| mark.event.clone()).collect()
    }

    /// Folds the subjects of those marks whose events can be read here, and counts these marks as done. `arrived`: by
    /// position in `numbers`.
    async fn fold(
        &mut self,
        source: &Source,
        folder: &Folder,
        numbers: &[u64],
        arrived: &[bool],
        outcome: MarkOutcome,
    ) -> Result<(), StoreError> {
        let ready = numbers.iter().zip(arrived).filter(|(_, arrived)| **arrived);
        let ready: Vec<u64> = ready.map(|(number, _)| *number).collect();
        let subjects: BTreeSet<_> =
            ready.iter().filter_map(|number| self.waiting.get(number)).map(|mark| mark.event.subject).collect();
        let subjects: Vec<_> = subjects.into_iter().collect();
        if subjects.is_empty() {
            return Ok(());
        }
        // An unreadable subject must not delay the others.
        let unreadable = folder.refold(&subjects).await?;
        let is_corrupt = |number| self.waiting.get(number).is_some_and(|mark| unreadable.contains(&mark.event.subject));
        let corrupt = ready.iter().filter(|number| is_corrupt(number)).count();
        count(source, MarkOutcome::Corrupt, corrupt);
        count(source, outcome, ready.len() - corrupt);
        for number in ready {
            self.waiting.remove(&number);
            self.done.add(number);
        }
        Ok(())
    }
}

fn count(source: &Source, outcome: MarkOutcome, marks: usize) {
    let labels = [("region", source.region.clone()), ("outcome", outcome.as_str().to_owned())];
    metrics::counter!("marks_total", &labels).increment(marks as u64);
}
