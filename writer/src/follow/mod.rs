//! Follows marks: folds here what other regions have taken, and what this region's dead writers left.
//!
//! A mark says that a subject has an event. The event may be on its way; only when it can be read here is the subject folded. What does not
//! arrive is fetched from the region that took it. Several writers share the streams out by leases; two that follow one stream do the same
//! work twice, which is harmless.

mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use yima_store::{MarkFeed, Source, StoreError, StreamId};

use crate::fold::Folder;
use source::Following;

/// How often the streams are looked at.
const EVERY: Duration = Duration::from_millis(200);
/// In how many of these rounds the dead are looked for.
const DEAD_EVERY: u32 = 5;

/// See the module.
pub struct MarkFollower {
    marks: Arc<dyn MarkFeed>,
    folder: Arc<Folder>,
    following: HashMap<(String, StreamId), Following>,
    rounds: u32,
}

impl MarkFollower {
    /// Follows for a folder.
    pub fn new(marks: Arc<dyn MarkFeed>, folder: Arc<Folder>) -> Self {
        Self { marks, folder, following: HashMap::new(), rounds: 0 }
    }

    /// Follows for ever. A round that fails is made again; only newer rules than the folder's end it, and with it should the process.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            let done = self.round().await;
            match (&done, failing) {
                (Err(fault), false) => {
                    tracing::warn!(%fault, "marks cannot be followed; this region falls behind the others")
                }
                (Ok(()), true) => tracing::info!("marks are followed again"),
                (Err(_), true) | (Ok(()), false) => {}
            }
            failing = done.is_err();
            if self.folder.is_outdated() {
                tracing::error!(
                    "newer rules are in force in this region: start this writer again with them (rules.file)"
                );
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks at every stream once. A stream that fails holds no other up.
    ///
    /// # Errors
    /// The first of those that happened.
    pub async fn round(&mut self) -> Result<(), StoreError> {
        if self.rounds.is_multiple_of(DEAD_EVERY) {
            self.folder.check_rules().await?;
            self.marks.close_dead().await?;
        }
        self.rounds = self.rounds.wrapping_add(1);
        let sources = self.marks.sources().await?;
        let key = |source: &Source| (source.region.clone(), source.stream);
        self.following.retain(|followed, _| sources.iter().any(|source| key(source) == *followed));
        let mut first_fault = Ok(());
        for source in &sources {
            let done = self.follow(key(source), source).await;
            first_fault = first_fault.and(done);
        }
        self.report(&sources);
        first_fault
    }

    async fn follow(&mut self, key: (String, StreamId), source: &Source) -> Result<(), StoreError> {
        if !self.marks.lease(source).await? {
            self.following.remove(&key);
            return Ok(());
        }
        let following = self.following.entry(key).or_insert_with(|| Following::new(source));
        following.follow(source, &*self.marks, &self.folder).await
    }

    /// Marks that are read and not folded yet, by region.
    fn report(&self, sources: &[Source]) {
        let mut waiting: HashMap<&str, usize> = sources.iter().map(|source| (source.region.as_str(), 0)).collect();
        for ((region, _), following) in &self.following {
            *waiting.entry(region).or_default() += following.waiting();
        }
        for (region, count) in waiting {
            metrics::gauge!("marks_waiting", "region" => region.to_owned()).set(count as f64);
        }
    }
}
