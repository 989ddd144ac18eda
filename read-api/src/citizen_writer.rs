//! The one way in which citizens write: an event about its sender is handed to a writer of the region.

use async_trait::async_trait;
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::problem::{Problem, ProblemType};

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

/// The problem of a citizen whose event no writer took.
pub(crate) fn no_writer() -> Problem {
    Problem::new(ProblemType::Unavailable, "This cannot be changed now; try again later").retry_after(30)
}
