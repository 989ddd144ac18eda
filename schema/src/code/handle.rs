//! The sealed handle inside a code: its subject and the version its phone was shown. A scanner without the key learns
//! nothing from it.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::seal::{SealError, SealKeys};
use crate::subject::SubjectId;
use crate::time::Time;
use crate::view::Version;

/// The part of a code that only read nodes can open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The subject of the code.
    pub subject: SubjectId,
    /// The region that signed the code: versions of two regions are not comparable.
    pub region: String,
    /// The version that the phone was shown, the floor of a scan: a node that knows only an older one must load.
    pub version: Version,
    /// When the handle was sealed.
    pub sealed_at: Time,
}

const FORMAT: u8 = 1;

impl Handle {
    /// Seals the handle.
    pub fn seal(&self, keys: &SealKeys) -> Vec<u8> {
        keys.seal(&codec::encode(FORMAT, self))
    }

    /// Opens a sealed handle.
    ///
    /// # Errors
    /// These keys did not seal it, or its key was revoked.
    pub fn open(sealed: &[u8], keys: &SealKeys) -> Result<Self, SealError> {
        let mut buffer = sealed.to_vec();
        codec::decode("handle", FORMAT, keys.open(&mut buffer)?).map_err(|_| SealError::Unknown)
    }
}
