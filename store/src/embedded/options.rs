//! The options with which a data directory is opened.

use std::time::Duration;

/// Options of [`super::EmbeddedStore::open`].
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The region of the data; recorded at creation, and another one is refused.
    pub region: String,
    /// [`yima_schema::subject::PseudonymKey::fingerprint`]; recorded at creation, and another one is refused.
    pub pseudonym_fingerprint: [u8; 16],
    /// Memory for blocks read from disk, shared by all tables, in bytes. Memtables take up to about 100 MiB more.
    /// Default 256 MiB.
    pub cache_bytes: u64,
    /// How long changes are kept for followers that are behind; beyond it they begin a new generation. Default 12 h.
    pub changes_retention: Duration,
}

impl EmbeddedOptions {
    /// The defaults, for a region and a pseudonym key's fingerprint.
    pub fn new(region: impl Into<String>, pseudonym_fingerprint: [u8; 16]) -> Self {
        Self {
            region: region.into(),
            pseudonym_fingerprint,
            cache_bytes: 256 * 1024 * 1024,
            changes_retention: Duration::from_secs(12 * 3600),
        }
    }
}
