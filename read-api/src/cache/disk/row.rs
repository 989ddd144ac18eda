//! A row: version (8 bytes) ‖ generation (8) ‖ loaded at, ms (8) ‖ checksum of the subject and the rest (8) ‖ view.
//! Numbers are big endian. A row without a view states only that the version exists.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_store::VersionedView;

use super::Row;
use crate::cache::freshness::Provenance;
use crate::cache::generations::Generation;

const NUMBERS: usize = 24;
const CHECKSUM: usize = 8;

pub(super) fn encode(subject: SubjectId, provenance: Provenance, view: Option<&[u8]>) -> Vec<u8> {
    let view = view.unwrap_or_default();
    let mut row = Vec::with_capacity(NUMBERS + CHECKSUM + view.len());
    row.extend_from_slice(&provenance.version.0.to_be_bytes());
    row.extend_from_slice(&provenance.generation.0.to_be_bytes());
    row.extend_from_slice(&provenance.loaded_at.as_millis().to_be_bytes());
    let checksum = checksum(subject, &row, view);
    row.extend_from_slice(&checksum);
    row.extend_from_slice(view);
    row
}

/// Decodes a row: `Some(None)` if it has no view, `None` if it is damaged or another subject's.
pub(super) fn decode(subject: SubjectId, row: &[u8]) -> Option<Option<Row>> {
    let (provenance, view) = split(subject, row)?;
    let versioned = || VersionedView { version: provenance.version, view: Bytes::copy_from_slice(view) };
    Some((!view.is_empty()).then(|| Row { provenance, view: versioned() }))
}

/// The provenance of a row, and its view, which may be empty; `None` if the row is damaged or another subject's.
pub(super) fn split(subject: SubjectId, row: &[u8]) -> Option<(Provenance, &[u8])> {
    let (numbers, rest) = row.split_first_chunk::<NUMBERS>()?;
    let (stored, view) = rest.split_first_chunk::<CHECKSUM>()?;
    if *stored != checksum(subject, numbers, view) {
        return None;
    }
    let number = |n: usize| numbers[n * 8..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    let provenance = Provenance {
        version: Version(number(0)?),
        generation: Generation(number(1)?),
        loaded_at: Time::from_millis(number(2)?.cast_signed()),
    };
    Some((provenance, view))
}

fn checksum(subject: SubjectId, numbers: &[u8], view: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Xxh3::new();
    hash.update(subject.as_bytes());
    hash.update(numbers);
    hash.update(view);
    hash.digest().to_be_bytes()
}
