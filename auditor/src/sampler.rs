//! Samples of a store: changes as they are published, and people at random. It only reads, and reads only what it
//! samples: the registry, which says how many rows each stream has, and the rows that it picks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::{Feed, Result, StreamId, SubjectScan, ViewReader};

use crate::config::MAX_PER_SECOND;
use crate::fact::Source;

/// Interval of reading the registry, as of a read node's polls.
const TICK: Duration = Duration::from_millis(200);
/// People that are remembered for the time when no store can be read.
const MAX_KNOWN: usize = 1_000;

/// How much is sampled, a second.
#[derive(Clone, Copy)]
pub struct Rates {
    /// Changes.
    pub changes: u32,
    /// People.
    pub people: u32,
}

impl Rates {
    /// Rates that are no higher than those of the settings may be.
    pub fn new(changes: u32, people: u32) -> Self {
        Self { changes: changes.min(MAX_PER_SECOND), people: people.min(MAX_PER_SECOND) }
    }
}

/// A version that is stored, or published.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// [`Source::Change`] or [`Source::Person`].
    pub source: Source,
    /// Whose view.
    pub subject: SubjectId,
    /// Its version.
    pub version: Version,
    /// When it was known to be stored, by the clock of the process that read it.
    pub at: Time,
}

/// The one read of a full scan that picking people needs.
#[async_trait]
trait People: Send + Sync {
    /// A subject after this token; `None` at the end.
    async fn after(&self, token: i64) -> Result<Option<SubjectId>>;
}

#[async_trait]
impl<S: SubjectScan> People for S {
    async fn after(&self, token: i64) -> Result<Option<SubjectId>> {
        Ok(self.subjects(None, token, 2).await?.subjects.first().map(|(_, subject)| *subject))
    }
}

/// Samples one store.
pub struct Sampler {
    feed: Arc<dyn Feed>,
    views: Arc<dyn ViewReader>,
    people: Arc<dyn People>,
    rates: Rates,
    /// Number of the last row of each stream that was there at the last reading; `None` before the first.
    positions: Option<BTreeMap<StreamId, u64>>,
    clock: fn() -> Time,
}

impl Sampler {
    /// A sampler of changes from now on.
    pub fn new<S: Feed + ViewReader + SubjectScan + 'static>(store: Arc<S>, rates: Rates, clock: fn() -> Time) -> Self {
        Self { feed: store.clone(), views: store.clone(), people: store, rates, positions: None, clock }
    }

    /// Sends what was sampled, five times a second even if that is nothing, until nobody takes it.
    ///
    /// # Errors
    /// The store's; may be called again.
    pub async fn run(&mut self, out: &mpsc::Sender<Vec<Sample>>) -> Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut changes, mut people) = (Budget::new(self.rates.changes), Budget::new(self.rates.people));
        while !out.is_closed() {
            ticks.tick().await;
            let mut samples = if self.rates.changes == 0 { Vec::new() } else { self.changes(changes.refill()).await? };
            changes.spend(samples.len());
            let most = people.refill();
            people.spend(most);
            samples.extend(self.pick_people(most).await?);
            // If nobody takes them the loop ends.
            let _ = out.send(samples).await;
        }
        Ok(())
    }

    /// Up to `most` of the changes since the last call, at random.
    async fn changes(&mut self, most: usize) -> Result<Vec<Sample>> {
        let registry = self.feed.registry().await?;
        let at = (self.clock)();
        let ends: BTreeMap<_, _> = registry.streams.iter().map(|stream| (stream.id, stream.last)).collect();
        let Some(before) = self.positions.replace(ends.clone()) else { return Ok(Vec::new()) };
        let rows = ends.iter().map(|(id, last)| (*id, before.get(id).copied().unwrap_or(0), *last));
        let mut samples = Vec::new();
        for (stream, number) in pick(rows.filter(|(_, first, last)| first < last).collect(), most) {
            // Nothing for a void row, or one that has expired.
            for (_, change) in self.feed.changes(stream, number - 1, 1).await? {
                let sample = change.map(|change| (change.subject, change.version));
                samples.extend(sample.map(|(subject, version)| Sample {
                    source: Source::Change,
                    subject,
                    version,
                    at,
                }));
            }
        }
        Ok(samples)
    }

    async fn pick_people(&self, most: usize) -> Result<Vec<Sample>> {
        let mut picked = Vec::new();
        for _ in 0..most {
            let subject = match self.people.after(rand::random()).await? {
                Some(subject) => Some(subject),
                None => self.people.after(i64::MIN).await?,
            };
            picked.extend(subject);
        }
        if picked.is_empty() {
            return Ok(Vec::new());
        }
        let views = self.views.lookup_many(&picked).await?;
        let at = (self.clock)();
        let stored = picked.into_iter().zip(views).filter_map(|(subject, view)| Some((subject, view?.version)));
        Ok(stored.map(|(subject, version)| Sample { source: Source::Person, subject, version, at }).collect())
    }
}

/// How many samples are due.
struct Budget {
    per_second: f32,
    left: f32,
}

impl Budget {
    fn new(per_second: u32) -> Self {
        Self { per_second: per_second as f32, left: 0.0 }
    }

    /// Adds those of a tick, up to those of a second; returns how many whole ones there are.
    fn refill(&mut self) -> usize {
        self.left = (self.left + self.per_second * TICK.as_secs_f32()).min(self.per_second);
        self.left as usize
    }

    fn spend(&mut self, samples: usize) {
        self.left -= samples as f32;
    }
}

/// Up to `most` rows of those after `first` up to `last` of each stream, each as likely as any other.
fn pick(streams: Vec<(StreamId, u64, u64)>, most: usize) -> Vec<(StreamId, u64)> {
    let total: u64 = streams.iter().map(|(_, first, last)| last - first).sum();
    let rows = (0..most.min(usize::try_from(total).unwrap_or(usize::MAX))).map(|_| {
        let mut nth = rand::random_range(0..total);
        let stream = streams.iter().find(|(_, first, last)| {
            let rows = last - first;
            let is_here = nth < rows;
            nth -= if is_here { 0 } else { rows };
            is_here
        });
        stream.map(|(id, first, _)| (*id, first + 1 + nth))
    });
    let mut rows: Vec<_> = rows.flatten().collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// People of earlier samples, whose displays are asked for while no store can be read.
#[derive(Default)]
pub struct Known(VecDeque<(SubjectId, Version)>);

impl Known {
    /// Remembers a sample.
    pub fn add(&mut self, sample: &Sample) {
        if self.0.len() == MAX_KNOWN {
            self.0.pop_front();
        }
        self.0.push_back((sample.subject, sample.version));
    }

    /// One of them at random, now.
    pub fn pick(&self, at: Time) -> Option<Sample> {
        let nth = rand::random_range(0..self.0.len().max(1));
        self.0.get(nth).map(|(subject, version)| Sample {
            source: Source::Person,
            subject: *subject,
            version: *version,
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_between_the_positions_is_picked_and_no_other() {
        let (a, b) = (StreamId(1), StreamId(2));
        let streams = || vec![(a, 5, 7), (b, 0, 1)];
        let mut seen = BTreeMap::new();
        for _ in 0..600 {
            let picked = pick(streams(), 1);
            assert_eq!(picked.len(), 1);
            *seen.entry(picked[0]).or_insert(0) += 1;
        }
        let rows: Vec<_> = seen.keys().copied().collect();
        assert_eq!(rows, [(a, 6), (a, 7), (b, 1)]);
        assert!(seen.values().all(|count| (120..300).contains(count)), "each as often as the others: {seen:?}");
        assert!(pick(streams(), 100).len() <= 3);
        assert_eq!((pick(Vec::new(), 5), pick(streams(), 0)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn the_last_thousand_people_are_remembered() {
        let mut known = Known::default();
        assert!(known.pick(Time::EPOCH).is_none());
        for n in 0..2_000u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let (subject, version) = (SubjectId::from_bytes(id), Version(n.into()));
            known.add(&Sample { source: Source::Change, subject, version, at: Time::EPOCH });
        }
        for _ in 0..100 {
            let sample = known.pick(Time::from_secs(9)).unwrap();
            assert!(sample.source == Source::Person && sample.version.0 >= 1_000 && sample.at == Time::from_secs(9));
        }
    }
}
