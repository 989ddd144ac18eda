//! Compare-and-set of views. An outcome that is not known is read serially, which finishes or rules out whatever was under way.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::view::Version;

use super::fault::fault;
use super::reading::CONCURRENT;
use super::{Inner, was_applied};
use crate::{CompareAndSet, Result, StoreError, ViewWrite, failpoint};

impl Inner {
    /// Sets views, those of one subject in the order given; each is on its own.
    pub(super) async fn compare_and_set(&self, writes: &[ViewWrite]) -> Result<Vec<CompareAndSet>> {
        let mut by_subject: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, write) in writes.iter().enumerate() {
            by_subject.entry(write.subject).or_default().push(at);
        }
        let outcomes: Vec<Vec<(usize, CompareAndSet)>> = stream::iter(by_subject.into_values())
            .map(|of_subject| async move {
                let mut outcomes = Vec::with_capacity(of_subject.len());
                for at in of_subject {
                    outcomes.push((at, self.set(&writes[at]).await?));
                }
                Ok::<_, StoreError>(outcomes)
            })
            .buffer_unordered(CONCURRENT)
            .try_collect()
            .await?;
        let mut in_order = vec![CompareAndSet::Lost; writes.len()];
        for (at, outcome) in outcomes.into_iter().flatten() {
            in_order[at] = outcome;
        }
        Ok(in_order)
    }

    async fn set(&self, write: &ViewWrite) -> Result<CompareAndSet> {
        let (subject, next) = (&write.subject.as_bytes()[..], write.next.0 as i64);
        let set = if write.expected == Version::ABSENT {
            self.session.execute_unpaged(&self.statements.views.first_view, (subject, next, &write.view[..])).await
        } else {
            let values = (next, &write.view[..], subject, write.expected.0 as i64);
            self.session.execute_unpaged(&self.statements.views.next_view, values).await
        };
        let set = set.map_err(|e| fault("views", &e));
        match set.and_then(|outcome| failpoint::pass("view_set").map(|()| outcome)) {
            Ok(outcome) => Ok(if was_applied("views", outcome)? { CompareAndSet::Set } else { CompareAndSet::Lost }),
            // Also `Unavailable`: Cassandra says so of a commit whose proposal was accepted already.
            Err(StoreError::TimedOut | StoreError::Unavailable(_)) => self.resolve(write).await,
            Err(fault @ (StoreError::Corrupt { .. } | StoreError::Rejected(_))) => Err(fault),
        }
    }

    /// What became of a write whose answer did not come.
    async fn resolve(&self, write: &ViewWrite) -> Result<CompareAndSet> {
        let found = self.lookup(&self.statements.views.lookup_serially, write.subject).await?;
        // The same version with the same bytes is ours, or as good.
        let is_ours = found.is_some_and(|found| found.version == write.next && found.view == write.view);
        Ok(if is_ours { CompareAndSet::Set } else { CompareAndSet::Lost })
    }
}
