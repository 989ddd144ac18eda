//! The index of FHIR resources: which subjects an agency has named in the versions of one resource.

use async_trait::async_trait;
use yima_schema::event::{Rank, StoredEvent};
use yima_schema::subject::SubjectId;

use crate::Result;

/// A version of a resource.
#[derive(Clone, PartialEq, Eq)]
pub struct ResourceVersion {
    /// The agency that sent it.
    pub agency: String,
    /// The event's id: type and id of the resource.
    pub id: String,
    /// Revision and rank: the highest version counts.
    pub version: (u64, Rank),
    /// The subject that it names.
    pub subject: SubjectId,
    /// The subject's document number, masked.
    pub document: String,
}

impl ResourceVersion {
    /// The version that an event is.
    pub fn of(event: &StoredEvent) -> Self {
        Self {
            agency: event.event.agency.clone(),
            id: event.event.id.clone(),
            version: event.version(),
            subject: event.event.subject,
            document: event.event.document.clone(),
        }
    }
}

/// Remembers the subjects of resources, across subjects.
#[async_trait]
pub trait ResourceIndex: Send + Sync {
    /// Adds versions; a known one changes nothing. Durable when it returns.
    async fn note_resources(&self, versions: Vec<ResourceVersion>) -> Result<()>;
    /// All versions of a resource of that agency, in ascending order. Of two calls that each noted a version before, at
    /// least one sees both.
    async fn resource_versions(&self, agency: &str, id: &str) -> Result<Vec<ResourceVersion>>;
}
