//! Decompression with a bound.

use flate2::{Decompress, FlushDecompress, Status};

use crate::Refusal;

/// A whole zlib stream (RFC 1950) of at most `max_bytes`, with nothing after it.
pub(crate) fn zlib(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    inflate(bytes, Decompress::new(true), max_bytes)
}

/// A whole DEFLATE stream (RFC 1951) of at most `max_bytes`, with nothing after it.
pub(crate) fn deflate(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    inflate(bytes, Decompress::new(false), max_bytes)
}

fn inflate(bytes: &[u8], mut stream: Decompress, max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::with_capacity(max_bytes);
    // Writes within the capacity, so a bomb ends as a stream without an end.
    let status = stream.decompress_vec(bytes, &mut content, FlushDecompress::Finish);
    let is_whole = matches!(status, Ok(Status::StreamEnd)) && stream.total_in() == bytes.len() as u64;
    if is_whole { Ok(content) } else { Err(Refusal::Malformed) }
}
