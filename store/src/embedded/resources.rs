//! The index of FHIR resources: one row for each version and subject.

use async_trait::async_trait;
use yima_schema::event::Rank;
use yima_schema::subject::SubjectId;

use super::EmbeddedStore;
use super::group_commit::Group;
use super::writing::ROW_BYTES;
use crate::span::{call, call_span};
use crate::{ResourceIndex, ResourceVersion, Result, StoreError};

/// Bytes after the id: revision, rank, subject.
const VERSION_BYTES: usize = 8 + 1 + 16;

#[async_trait]
impl ResourceIndex for EmbeddedStore {
    async fn note_resources(&self, versions: Vec<ResourceVersion>) -> Result<()> {
        let rows = versions.iter().map(|version| Ok((key(version)?, version.document.clone())));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let span = call_span!("fjall", "append", "resources", rows.len());
        let note = move |group: &mut Group<'_>| {
            for (key, document) in &rows {
                group.rows.insert(group.tables.resources.keyspace(), key.as_slice(), document.as_bytes());
            }
            Ok(())
        };
        call(span, self.queue()?.submit(versions.len() * ROW_BYTES, note)).await
    }

    async fn resource_versions(&self, agency: &str, id: &str) -> Result<Vec<ResourceVersion>> {
        let (agency, id, prefix) = (agency.to_owned(), id.to_owned(), prefix(agency, id)?);
        self.blocking(move |tables| {
            let corrupt = || tables.resources.corrupt("a row");
            let decode = |row: Result<(fjall::Slice, fjall::Slice)>| {
                let (key, document) = row?;
                let version: &[u8; VERSION_BYTES] =
                    key.get(prefix.len()..).and_then(|v| v.try_into().ok()).ok_or_else(corrupt)?;
                let (revision, rest) = version.split_first_chunk().ok_or_else(corrupt)?;
                let (rank, subject) = rest.split_first().ok_or_else(corrupt)?;
                Ok(ResourceVersion {
                    agency: agency.clone(),
                    id: id.clone(),
                    version: (u64::from_be_bytes(*revision), Rank::from_number(*rank).ok_or_else(corrupt)?),
                    subject: SubjectId::from_bytes(subject.try_into().map_err(|_| corrupt())?),
                    document: String::from_utf8(document.to_vec()).map_err(|_| corrupt())?,
                })
            };
            tables.resources.prefix(&prefix).map(decode).collect()
        })
        .await
    }
}

/// Length and agency ‖ length and id.
fn prefix(agency: &str, id: &str) -> Result<Vec<u8>> {
    let mut prefix = Vec::with_capacity(2 + agency.len() + id.len() + VERSION_BYTES);
    for part in [agency, id] {
        let length = u8::try_from(part.len())
            .map_err(|_| StoreError::Rejected("an agency's name or event id is longer than 255 bytes".into()))?;
        prefix.push(length);
        prefix.extend_from_slice(part.as_bytes());
    }
    Ok(prefix)
}

fn key(version: &ResourceVersion) -> Result<Vec<u8>> {
    let mut key = prefix(&version.agency, &version.id)?;
    let (revision, rank) = version.version;
    key.extend_from_slice(&revision.to_be_bytes());
    key.push(rank as u8);
    key.extend_from_slice(version.subject.as_bytes());
    Ok(key)
}
