//! Digests cut to 16 bytes.

use aws_lc_rs::digest;

/// The first 16 bytes of SHA-256 of `data`.
pub(crate) fn sha256_16(data: &[u8]) -> [u8; 16] {
    first_16(digest::digest(&digest::SHA256, data).as_ref())
}

/// SHA-256 of `data`.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// The first 16 of a digest's 32 bytes.
pub(crate) fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]); // SHA-256 and HMAC-SHA-256 output 32 bytes
    out
}
