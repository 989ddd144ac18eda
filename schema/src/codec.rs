//! Compact binary form: one format byte, then postcard. A type that gets a new format keeps reading the earlier ones.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that no codec of this crate wrote. Names the kind of record, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} of format {format:?} cannot be read")]
pub struct DecodeError {
    /// The kind of record.
    pub what: &'static str,
    /// The format byte found, if any.
    pub format: Option<u8>,
}

/// Encodes `value` after its format byte.
///
/// # Panics
/// Never for the types of this crate: serde knows the length of each.
pub(crate) fn encode<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(format);
    postcard::to_extend(value, out).expect("types of the schema always encode")
}

/// Decodes what [`encode`] wrote in that format; bytes left over are an error.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, format: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let error = DecodeError { what, format: bytes.first().copied() };
    match bytes.split_first() {
        Some((found, body)) if *found == format => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok(_) | Err(_) => Err(error),
        },
        Some(_) | None => Err(error),
    }
}
