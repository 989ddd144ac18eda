//! Cases of the index of FHIR resources.

use yima_schema::event::Rank;

use super::fixture::subject;
use super::{ConformanceError, Harness, ensure};
use crate::ResourceVersion;

pub(super) async fn all_versions_of_a_resource_are_found(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let id = format!("Observation/{:x}", rand::random::<u64>());
    let version = |agency: &str, version, document: &str| ResourceVersion {
        agency: agency.into(),
        id: id.clone(),
        version,
        subject: subject(),
        document: document.into(),
    };
    let versions = [
        version("lab-7", (1, Rank::Original), "a"),
        version("lab-7", (1, Rank::Corrected), "b"),
        version("lab-7", (2, Rank::Original), "c"),
    ];
    store.note_resources(vec![versions[2].clone(), version("lab-8", (9, Rank::Original), "d")]).await?;
    store.note_resources(vec![versions[1].clone(), versions[0].clone()]).await?;
    store.note_resources(vec![versions[1].clone()]).await?;
    let found = store.resource_versions("lab-7", &id).await?;
    ensure!(found == versions, "{} versions were noted and {} found, or they differ", versions.len(), found.len());
    // An id that begins with another one is another resource.
    let other = store.resource_versions("lab-7", &id[..id.len() - 1]).await?;
    ensure!(other.is_empty(), "{} versions of another resource were found", other.len());
    Ok(())
}
