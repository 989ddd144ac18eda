//! The one way in which citizens write: an event about its sender is handed to a writer of the region.

use async_trait::async_trait;
use yima_schema::agency::CITIZEN;
use yima_schema::event::{Event, EventData};
use yima_schema::freshness::Freshness;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use crate::app::App;

/// A writer of this region. It takes events whose sender is [`yima_schema::agency::CITIZEN`].
#[async_trait]
pub trait CitizenWriter: Send + Sync {
    /// Hands an event over: it is durable, folded and published when this returns. `None`: an event of this name had
    /// been taken before.
    ///
    /// # Errors
    /// What the citizen is told; 503 when no writer takes the event.
    async fn write(&self, event: Event) -> Result<Option<Freshness>, Problem>;
}

impl App {
    /// Writes an event of a citizen about themselves or a ward, whose name makes it one even if it is sent twice.
    /// Returns the token of the event; `None` if it had been written before, perhaps with another content.
    ///
    /// # Errors
    /// What the citizen is told; 503 when no writer takes the event.
    pub(crate) async fn write_own(
        &self,
        subject: SubjectId,
        name: String,
        data: EventData,
        now: Time,
    ) -> Result<Option<Freshness>, Problem> {
        let event = Event {
            subject,
            agency: CITIZEN.into(),
            id: name,
            revision: 0,
            document: String::new(),
            occurred_at: now,
            data,
        };
        let written = self.citizen_writer.write(event).await?;
        if let Some(token) = &written {
            // So that this node knows it at once; others, and this one if it fails here, learn it from the feed.
            let _ = self.look_up(subject, Version::ABSENT, Some(Box::new(token.clone()))).await;
        }
        Ok(written)
    }
}

/// The problem of a citizen whose event no writer took.
pub(crate) fn no_writer() -> Problem {
    Problem::new(ProblemType::Unavailable, "This cannot be changed now; try again later").retry_after(30)
}
