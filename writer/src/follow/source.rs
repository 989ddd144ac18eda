//! One stream's marks, from where they were followed last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use yima_schema::mark::EventName;
use yima_schema::time::Time;
use yima_store::{MarkFeed, Place, Source, StoreError, Watermark};

use crate::fold::Folder;

/// Marks read in one call, and folded together.
const PAGE: usize = 1_000;
/// Marks that are kept waiting for their events; beyond it no more are read.
const MAX_WAITING: usize = 20_000;
/// What has not arrived by itself after this is asked for where it comes from, and again as often.
const FETCH_AFTER: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Following {
    /// Marks that are folded and published, void, or lost.
    done: Watermark,
    /// Marks whose events are not here yet, or not folded.
    waiting: BTreeMap<u64, Waiting>,
    /// Since when a number that was written has not been found.
    missing_since: Option<Instant>,
    as_of: Time,
    settled: Option<(u64, Time)>,
}

struct Waiting {
    event: EventName,
    ask_at: Instant,
}

/// What became of a mark.
#[derive(Clone, Copy)]
enum Outcome {
    /// Its subject is folded.
    Folded,
    /// Its event had to be fetched, and then it was.
    Fetched,
    /// There is no such event: its writer died before it wrote it.
    Void,
    /// Nobody has it any more: reconciling finds what it stood for.
    Missed,
    /// Its subject's data cannot be read.
    Corrupt,
}

impl Outcome {
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

impl Following {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            done: Watermark::new(source.position),
            waiting: BTreeMap::new(),
            missing_since: None,
            as_of: source.settled_as_of,
            settled: None,
        }
    }

    /// As if everything had been late for long.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        let long_ago = Instant::now().checked_sub(FETCH_AFTER).expect("the machine has been up for longer");
        self.waiting.values_mut().for_each(|waiting| waiting.ask_at = long_ago);
        self.missing_since = self.missing_since.and(Some(long_ago));
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Reads what is new, folds what has arrived, fetches what is late, and remembers how far that is.
    pub(super) async fn follow(
        &mut self,
        source: &Source,
        marks: &dyn MarkFeed,
        folder: &Folder,
    ) -> Result<(), StoreError> {
        self.read(source, Place::Here, marks).await?;
        let lost = self.look_for_missing(source, marks).await?;
        self.fold_arrived(source, marks, folder).await?;
        self.fetch_late(source, marks, folder).await?;
        // Everything that its writer had marked by then is folded and published, unless marks were lost: nobody knows what they stood for.
        if self.done.upto() >= source.taken && !source.missed && !lost {
            self.as_of = source.as_of;
        }
        let now = (self.done.upto(), self.as_of);
        if self.settled != Some(now) {
            marks.settle(source, now.0, now.1).await?;
            self.settled = Some(now);
        }
        Ok(())
    }

    /// Takes in every mark that is there, also beyond gaps.
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
                        let ask_at = Instant::now() + FETCH_AFTER;
                        self.waiting.entry(number).or_insert(Waiting { event, ask_at });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Numbers that were written and are not here may be on their way; if they stay away they are read where they come from. What is not there
    /// either has expired, and somebody has to reconcile; returns whether that is so.
    async fn look_for_missing(&mut self, source: &Source, marks: &dyn MarkFeed) -> Result<bool, StoreError> {
        // In this order: far behind, what has not been read yet is much.
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
        let lost = self.missing(source);
        if lost.is_empty() || self.waiting.len() >= MAX_WAITING {
            return Ok(false);
        }
        marks.missed(source).await?;
        tracing::error!(
            region = source.region,
            marks = lost.len(),
            "marks expired before they were followed: run yima reconcile"
        );
        count(source, Outcome::Missed, lost.len());
        lost.into_iter().for_each(|number| self.done.add(number));
        Ok(true)
    }

    fn missing(&self, source: &Source) -> Vec<u64> {
        let unknown = |number: &u64| !self.done.contains(*number) && !self.waiting.contains_key(number);
        (self.done.upto() + 1..=source.written).filter(unknown).collect()
    }

    async fn fold_arrived(&mut self, source: &Source, marks: &dyn MarkFeed, folder: &Folder) -> Result<(), StoreError> {
        let all: Vec<u64> = self.waiting.keys().copied().collect();
        for numbers in all.chunks(PAGE) {
            let arrived = marks.arrived(&self.events(numbers)).await?;
            self.fold(source, folder, numbers, &arrived, Outcome::Folded).await?;
        }
        Ok(())
    }

    async fn fetch_late(&mut self, source: &Source, marks: &dyn MarkFeed, folder: &Folder) -> Result<(), StoreError> {
        let now = Instant::now();
        let late: Vec<u64> = self.waiting.iter().filter(|(_, w)| w.ask_at <= now).map(|(number, _)| *number).collect();
        for numbers in late.chunks(PAGE) {
            for number in numbers {
                if let Some(waiting) = self.waiting.get_mut(number) {
                    waiting.ask_at = now + FETCH_AFTER;
                }
            }
            let found = marks.fetch(source, &self.events(numbers)).await?;
            self.fold(source, folder, numbers, &found, Outcome::Fetched).await?;
            if !source.open {
                let void: Vec<u64> =
                    numbers.iter().copied().filter(|number| self.waiting.remove(number).is_some()).collect();
                count(source, Outcome::Void, void.len());
                void.into_iter().for_each(|number| self.done.add(number));
            }
        }
        Ok(())
    }

    fn events(&self, numbers: &[u64]) -> Vec<EventName> {
        numbers.iter().filter_map(|number| self.waiting.get(number)).map(|w| w.event.clone()).collect()
    }

    /// Folds the subjects of those marks whose events are there, and counts them as done.
    async fn fold(
        &mut self,
        source: &Source,
        folder: &Folder,
        numbers: &[u64],
        there: &[bool],
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let ready: Vec<u64> =
            numbers.iter().zip(there).filter(|(_, there)| **there).map(|(number, _)| *number).collect();
        let subjects: BTreeSet<_> =
            ready.iter().filter_map(|number| self.waiting.get(number)).map(|w| w.event.subject).collect();
        let subjects: Vec<_> = subjects.into_iter().collect();
        if subjects.is_empty() {
            return Ok(());
        }
        // One of them must not keep the others waiting.
        let unreadable = folder.refold(&subjects).await?;
        let is_corrupt = |number| self.waiting.get(number).is_some_and(|w| unreadable.contains(&w.event.subject));
        let corrupt = ready.iter().filter(|number| is_corrupt(number)).count();
        count(source, Outcome::Corrupt, corrupt);
        count(source, outcome, ready.len() - corrupt);
        for number in ready {
            self.waiting.remove(&number);
            self.done.add(number);
        }
        Ok(())
    }
}

fn count(source: &Source, outcome: Outcome, marks: usize) {
    let labels = [("region", source.region.clone()), ("outcome", outcome.as_str().to_owned())];
    metrics::counter!("marks_total", &labels).increment(marks as u64);
}
