//! Compact binary form: one format byte, then postcard. A type that gets another format keeps reading the ones before.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not what a codec of ours wrote; tells where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} of format {format:?} cannot be read")]
pub struct DecodeError {
    /// What was being read.
    pub what: &'static str,
    /// The format byte found, if any.
    pub format: Option<u8>,
}

/// Writes `value` behind its format byte.
///
/// # Panics
/// Never for our types: all of them have a length known to serde.
pub(crate) fn encode<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut start = Vec::with_capacity(256);
    start.push(format);
    postcard::to_extend(value, start).expect("types of the schema always encode")
}

/// Reads what [`encode`] wrote in that format, to the last byte.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, format: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let fault = DecodeError { what, format: bytes.first().copied() };
    match bytes.split_first() {
        Some((found, body)) if *found == format => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok(_) | Err(_) => Err(fault),
        },
        Some(_) | None => Err(fault),
    }
}
