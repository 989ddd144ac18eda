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

/// Stands for the writers of a process that reaches none.
pub struct NoWriter;

#[async_trait]
impl CitizenWriter for NoWriter {
    async fn write(&self, _event: Event) -> Result<Option<Freshness>, Problem> {
        let detail = "This service reaches no writer, so nothing can be changed here now; try again later";
        Err(Problem::new(ProblemType::Unavailable, detail).retry_after(30))
    }
}
