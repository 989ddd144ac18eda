//! The keys and small values of each table. Numbers are big endian, so that byte order is number order.

use fjall::Slice;
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use crate::{Mark, Result, StoreError, StreamId, StreamState, VersionedView};

/// Bytes of the content hash that ends an event's key.
pub(super) const HASH_BYTES: usize = 16;

/// `events`: subject ‖ length and agency ‖ length and id ‖ revision ‖ hash.
///
/// # Errors
/// An agency or id of more than 255 bytes, which the schema's limits rule out.
pub(super) fn event(event: &StoredEvent) -> Result<Vec<u8>> {
    let (agency, id, revision, hash) = event.key();
    let mut key = Vec::with_capacity(16 + 2 + agency.len() + id.len() + 8 + HASH_BYTES);
    key.extend_from_slice(event.event.subject.as_bytes());
    for part in [agency, id] {
        let length = u8::try_from(part.len())
            .map_err(|_| StoreError::Rejected("an agency's name or event id is longer than 255 bytes".into()))?;
        key.push(length);
        key.extend_from_slice(part.as_bytes());
    }
    key.extend_from_slice(&revision.to_be_bytes());
    key.extend_from_slice(&hash.0);
    Ok(key)
}

/// The agency in a key of [`event`].
pub(super) fn event_agency(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.get(16..)?.split_first()?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

/// `views`: version ‖ view.
pub(super) fn encode_view(version: Version, view: &[u8]) -> Vec<u8> {
    [&version.0.to_be_bytes(), view].concat()
}

/// Reads [`encode_view`]'s version.
pub(super) fn view_version(row: &[u8]) -> Option<Version> {
    row.first_chunk().map(|v| Version(u64::from_be_bytes(*v)))
}

/// Reads [`encode_view`].
pub(super) fn decode_view(row: &[u8]) -> Option<VersionedView> {
    let (version, view) = row.split_first_chunk()?;
    Some(VersionedView { version: Version(u64::from_be_bytes(*version)), view: view.to_vec().into() })
}

/// `changes`: stream ‖ number.
pub(super) fn change(stream: StreamId, number: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&stream.0.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Reads the number of [`change`].
pub(super) fn change_number(key: &[u8]) -> Option<u64> {
    key.get(4..)?.try_into().ok().map(u64::from_be_bytes)
}

/// Splits a row of `changes`: time of writing ‖ change.
pub(super) fn split_change(row: &[u8]) -> Option<(Time, &[u8])> {
    let (written_at, change) = row.split_first_chunk()?;
    Some((Time::from_millis(i64::from_be_bytes(*written_at)), change))
}

/// A stream, with the state that only this engine needs.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    /// Its state, as the registry shows it.
    pub(super) state: StreamState,
    /// Lowest number that has not expired (1 as long as nothing has).
    pub(super) first: u64,
}

/// `streams`: open ‖ first ‖ last. While a stream is open, `last` may be behind its rows.
pub(super) fn encode_stream(Stream { state, first }: &Stream) -> Vec<u8> {
    let mut row = vec![u8::from(state.open)];
    row.extend_from_slice(&first.to_be_bytes());
    row.extend_from_slice(&state.last.to_be_bytes());
    row
}

/// Reads a key and a row of `streams`.
pub(super) fn decode_stream(key: &[u8], row: &[u8]) -> Option<Stream> {
    let id = StreamId(u32::from_be_bytes(key.try_into().ok()?));
    let row: &[u8; 17] = row.try_into().ok()?;
    let (open, numbers) = row.split_first()?;
    let (first, last) = numbers.split_first_chunk()?;
    let last = u64::from_be_bytes(last.try_into().ok()?);
    Some(Stream { state: StreamState { id, last, open: *open != 0 }, first: u64::from_be_bytes(*first) })
}

/// All marks are numbered in one sequence, whatever the stream of their changes.
pub(super) fn mark(number: u64) -> Mark {
    Mark { stream: StreamId(0), number }
}

/// Reads a key and a row of `marks`: number → subject.
pub(super) fn decode_mark(key: &Slice, row: &Slice) -> Option<(Mark, SubjectId)> {
    Some((
        mark(u64::from_be_bytes(key.as_ref().try_into().ok()?)),
        SubjectId::from_bytes(row.as_ref().try_into().ok()?),
    ))
}
