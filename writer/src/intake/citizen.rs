//! What citizens write about themselves: one event at a time, which a read service hands over.

use std::sync::Arc;

use tracing::Instrument;
use yima_schema::agency::CITIZEN;
use yima_schema::event::{Event, EventData, StoredEvent};
use yima_schema::freshness::Freshness;
use yima_schema::problem::{Problem, ProblemType};

use super::pipeline::Pipeline;
use super::problems;
use crate::fold::CommitOutcome;

impl Pipeline {
    /// Takes an event in a task of its own: a caller that goes away does not stop it. `None`: an event of this name had
    /// been taken before.
    ///
    /// # Errors
    /// 403 for an event that no citizen may write, 409, 500, 503.
    pub(super) async fn take_from_citizen(self: &Arc<Self>, event: Event) -> Result<Option<Freshness>, Problem> {
        let kind = event.data.kind().as_str();
        let taken = self.commit_for_citizen(event).await;
        let status = match &taken {
            Ok(Some(_)) => "accepted",
            Ok(None) => "duplicate",
            Err(problem) if problem.kind.status() >= 500 => "not_taken",
            Err(_) => "rejected",
        };
        metrics::counter!("citizen_events_total", "kind" => kind, "status" => status).increment(1);
        taken
    }

    async fn commit_for_citizen(self: &Arc<Self>, event: Event) -> Result<Option<Freshness>, Problem> {
        if event.agency != CITIZEN || !may_be_written(&event.data) {
            return Err(Problem::new(ProblemType::Forbidden, "A citizen cannot write an event of this kind"));
        }
        if self.disk_space.is_low() {
            return Err(problems::no_disk_space());
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (subject, pipeline) = (event.subject, Arc::clone(self));
        let work = async move {
            let committed = pipeline.folder.commit(vec![StoredEvent::new(event, (pipeline.clock)())]).await;
            // The caller may have gone.
            let _ = sender.send(committed);
        };
        self.lifecycle.spawn("fold", work.in_current_span());
        // Without an answer in time the task goes on.
        let committed = tokio::time::timeout(self.commit_timeout, receiver).await;
        let committed = committed.ok().and_then(Result::ok).ok_or_else(problems::outcome_unknown)?;
        let outcomes = committed.map_err(|error| {
            tracing::error!(%error, "a citizen's event could not be committed");
            problems::of_store(&error)
        })?;
        match outcomes.first() {
            Some(CommitOutcome::Accepted(version)) => {
                let (region, version, moment) = (self.folder.region().to_owned(), *version, (self.clock)());
                Ok(Some(Freshness { region, subject, version, moment }))
            }
            Some(CommitOutcome::Duplicate | CommitOutcome::Conflict) => Ok(None),
            Some(CommitOutcome::Full) => Err(problems::subject_full()),
            Some(CommitOutcome::NotTried | CommitOutcome::Unreadable) | None => Err(problems::unreadable()),
        }
    }
}

/// Whether citizens may write such an event about themselves.
fn may_be_written(data: &EventData) -> bool {
    match data {
        EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => true,
        EventData::Identity { .. }
        | EventData::TestResult { .. }
        | EventData::Vaccination { .. }
        | EventData::ColourAssignment { .. }
        | EventData::Retraction { .. } => false,
    }
}
