//! Follows marks: folds here the events that other regions accepted, and those that dead writers of this region left
//! unfolded.
//!
//! A mark says that a subject has an event. The event may still be on its way; its subject is folded only when the
//! event can be read here. An event that does not arrive is fetched from the region that accepted it. Writers share the
//! streams by leases; two writers that follow one stream do the same work twice, which is harmless.

mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use yima_store::{MarkFeed, Source, StoreError, StreamId};

use crate::fold::Folder;
use source::StreamFollower;

/// Time between two rounds over the streams. Half of it is the mean delay of another region's event.
const ROUND_EVERY: Duration = Duration::from_millis(100);
/// Rounds from one search for dead writers to the next.
const ROUNDS_PER_SEARCH: u32 = 10;

/// Follows the marks of all streams that this writer has a lease on.
pub struct MarkFollower {
    marks: Arc<dyn MarkFeed>,
    folder: Arc<Folder>,
    streams: HashMap<(String, StreamId), StreamFollower>,
    /// Regions whose gauge has a value.
    reported: BTreeSet<String>,
    rounds: u32,
}

impl MarkFollower {
    /// A follower that folds with `folder`.
    pub fn new(marks: Arc<dyn MarkFeed>, folder: Arc<Folder>) -> Self {
        Self { marks, folder, streams: HashMap::new(), reported: BTreeSet::new(), rounds: 0 }
    }

    /// Follows without end. A round that fails is repeated; only rules newer than the folder's end it, and then the
    /// process should end too.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            let result = self.round().await;
            match (&result, failing) {
                (Err(error), false) => {
                    tracing::warn!(%error, "marks cannot be followed; this region falls behind the others")
                }
                (Ok(()), true) => tracing::info!("marks are followed again"),
                (Err(_), true) | (Ok(()), false) => {}
            }
            failing = result.is_err();
            if self.folder.is_outdated() {
                tracing::error!(
                    "newer rules are in force in this region, or a newer program has derived views: start this writer again \
                     with them (rules.file)"
                );
                return;
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
    }

    /// Follows every stream once. An error in one stream does not delay the others.
    ///
    /// # Errors
    /// The first error of the round.
    pub async fn round(&mut self) -> Result<(), StoreError> {
        if self.rounds.is_multiple_of(ROUNDS_PER_SEARCH) {
            self.folder.check_rules().await?;
            self.marks.seal_dead_streams().await?;
        }
        self.rounds = self.rounds.wrapping_add(1);
        let sources = self.marks.sources().await?;
        let key = |source: &Source| (source.region.clone(), source.stream);
        self.streams.retain(|stream, _| sources.iter().any(|source| key(source) == *stream));
        let mut first_error = Ok(());
        for source in &sources {
            let result = self.follow(key(source), source).await;
            first_error = first_error.and(result);
        }
        self.report(&sources);
        first_error
    }

    async fn follow(&mut self, key: (String, StreamId), source: &Source) -> Result<(), StoreError> {
        if !self.marks.lease(source).await? {
            self.streams.remove(&key);
            return Ok(());
        }
        let stream = self.streams.entry(key).or_insert_with(|| StreamFollower::new(source));
        stream.follow(source, &*self.marks, &self.folder).await
    }

    /// Sets `marks_waiting`: marks that were read and are not folded yet, by region; ends it for a region that has no
    /// source any more.
    fn report(&mut self, sources: &[Source]) {
        let mut waiting: HashMap<&str, usize> = sources.iter().map(|source| (source.region.as_str(), 0)).collect();
        for ((region, _), stream) in &self.streams {
            *waiting.entry(region).or_default() += stream.waiting();
        }
        let now: BTreeSet<String> = waiting.keys().map(|region| (*region).to_owned()).collect();
        for (region, count) in waiting {
            metrics::gauge!("marks_waiting", "region" => region.to_owned()).set(count as f64);
        }
        for region in self.reported.difference(&now) {
            metrics::gauge!("marks_waiting", "region" => region.clone()).set(f64::NAN);
        }
        self.reported = now;
    }
}
