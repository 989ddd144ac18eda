//! The index of FHIR resources: a partition for each resource, shared by all regions.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::event::Rank;
use yima_schema::subject::SubjectId;

use super::{CONCURRENT_REQUESTS, CqlStore};
use crate::span::{call, call_span};
use crate::{ResourceIndex, ResourceVersion, Result, StoreError};

const TABLE: &str = "resources";

#[async_trait]
impl ResourceIndex for CqlStore {
    async fn note_resources(&self, versions: Vec<ResourceVersion>) -> Result<()> {
        let inner = &self.inner;
        let note = async |version: ResourceVersion| {
            let ResourceVersion { agency, id, version: (revision, rank), subject, document } = version;
            let row = (agency, id, revision as i64, rank as i32, subject.as_bytes().to_vec(), document);
            inner.execute(TABLE, &inner.statements.resources.insert, row).await.map(drop)
        };
        let span = call_span!("cassandra", "INSERT", "resources", versions.len());
        let inserts: Vec<_> = versions.into_iter().map(note).collect();
        call(span, stream::iter(inserts).buffer_unordered(CONCURRENT_REQUESTS).try_collect::<()>()).await
    }

    async fn resource_versions(&self, agency: &str, id: &str) -> Result<Vec<ResourceVersion>> {
        let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
        let rows = self.inner.query(TABLE, &self.inner.statements.resources.versions, (agency, id)).await?;
        let rows = rows.rows::<(i64, i32, Vec<u8>, String)>().map_err(|_| corrupt())?;
        let decode = |row: std::result::Result<(i64, i32, Vec<u8>, String), _>| {
            let (revision, rank, subject, document) =
                row.map_err(|_: scylla::errors::DeserializationError| corrupt())?;
            let rank = u8::try_from(rank).ok().and_then(Rank::from_number).ok_or_else(corrupt)?;
            let subject = SubjectId::from_bytes(subject.try_into().map_err(|_| corrupt())?);
            let version = (revision as u64, rank);
            Ok(ResourceVersion { agency: agency.to_owned(), id: id.to_owned(), version, subject, document })
        };
        rows.map(decode).collect()
    }
}
