//! The disk tier at a start: opened before the store, since a node that finds a saved state there can serve without its
//! database.

use std::path::PathBuf;

use yima_schema::subject::PseudonymKey;

use crate::cache::disk::{Disk, DiskError, DiskOptions, Identity, State};
use crate::config::CacheConfig;

/// An open disk tier, with the state that was saved on it.
pub struct DiskTier {
    pub(crate) disk: Disk,
    pub(crate) state: Option<State>,
}

impl DiskTier {
    /// Opens the disk tier in `path`, unless the settings disable it. A disk tier that cannot be used is logged and
    /// left out.
    ///
    /// # Errors
    /// Another process uses the directory.
    pub async fn open(
        config: &CacheConfig,
        path: PathBuf,
        region: &str,
        pseudonyms: &PseudonymKey,
    ) -> Result<Option<Self>, DiskError> {
        if config.disk_bytes == 0 {
            return Ok(None);
        }
        let identity = Identity { region: region.to_owned(), pseudonyms: pseudonyms.fingerprint() };
        let options = DiskOptions { path: path.clone(), max_bytes: config.disk_bytes, identity };
        let opened = tokio::task::spawn_blocking(move || Disk::open(options)).await;
        match opened.unwrap_or_else(|error| Err(DiskError::Broken(error.to_string()))) {
            Ok((disk, state)) => Ok(Some(Self { disk, state })),
            Err(error @ DiskError::InUse) => Err(error),
            Err(error @ DiskError::Broken(_)) => {
                tracing::error!(%error, path = %path.display(), "the disk tier cannot be used; serving without it");
                Ok(None)
            }
        }
    }

    /// Whether a state was found: views can be served from it before the feed is followed.
    pub fn has_state(&self) -> bool {
        self.state.is_some()
    }
}
