//! Compare-and-set of views. An unknown outcome is read serially: that finishes or rules out a write still in flight.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::view::Version;

use crate::cql::outcome::was_applied;
use crate::cql::{CONCURRENT_REQUESTS, Inner};
use crate::{CompareAndSet, Result, StoreError, ViewWrite, failpoint};

const TABLE: &str = "views";

impl Inner {
    /// Sets views, those of one subject in the order given; each write stands alone.
    pub(in crate::cql) async fn compare_and_set(&self, writes: &[ViewWrite]) -> Result<Vec<CompareAndSet>> {
        let mut by_subject: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, write) in writes.iter().enumerate() {
            by_subject.entry(write.subject).or_default().push(at);
        }
        let outcomes: Vec<Vec<(usize, CompareAndSet)>> = stream::iter(by_subject.into_values())
            .map(|of_subject| async move {
                let mut outcomes = Vec::with_capacity(of_subject.len());
                for at in of_subject {
                    outcomes.push((at, self.set_view(&writes[at]).await?));
                }
                Ok::<_, StoreError>(outcomes)
            })
            .buffer_unordered(CONCURRENT_REQUESTS)
            .try_collect()
            .await?;
        let mut in_order = vec![CompareAndSet::Lost; writes.len()];
        for (at, outcome) in outcomes.into_iter().flatten() {
            in_order[at] = outcome;
        }
        Ok(in_order)
    }

    async fn set_view(&self, write: &ViewWrite) -> Result<CompareAndSet> {
        self.deny(&write.denials).await?;
        failpoint::pass("denials_written")?;
        let statements = &self.statements.views;
        let (subject, next, view) = (&write.subject.as_bytes()[..], write.next.0 as i64, &write.view[..]);
        let set = if write.expected == Version::ABSENT {
            self.execute(TABLE, &statements.first_view, (subject, next, view)).await
        } else {
            let expected = write.expected.0 as i64;
            self.execute(TABLE, &statements.next_view, (next, view, subject, expected)).await
        };
        match set.and_then(|answer| failpoint::pass("view_set").map(|()| answer)) {
            Ok(answer) => {
                let applied = was_applied(TABLE, answer)?;
                Ok(if applied { CompareAndSet::Set } else { CompareAndSet::Lost })
            }
            // Cassandra answers `Unavailable` also for a commit whose proposal was accepted already.
            Err(StoreError::TimedOut | StoreError::Unavailable(_)) => self.resolve(write).await,
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Rejected(_))) => Err(error),
        }
    }

    /// Reads the outcome of a write without an answer.
    async fn resolve(&self, write: &ViewWrite) -> Result<CompareAndSet> {
        let found = self.lookup_view(&self.statements.views.lookup_serially, write.subject).await?;
        // The same version with the same bytes is this write, or as good.
        let is_set = found.is_some_and(|found| found.version == write.next && found.view == write.view);
        Ok(if is_set { CompareAndSet::Set } else { CompareAndSet::Lost })
    }
}
