//! The handle inside a code: whose it is and what its phone has seen, sealed. A scanner without the key learns nothing from it.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::seal::SealKeys;
use crate::subject::SubjectId;
use crate::time::Time;
use crate::view::Version;

/// What a code says to the read nodes alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// Whose code.
    pub subject: SubjectId,
    /// The region that signed it: versions of two regions are not comparable.
    pub region: String,
    /// The view's version that the phone was shown: a node that knows only an older one must load.
    pub version: Version,
    /// When it was sealed.
    pub sealed_at: Time,
}

const FORMAT: u8 = 1;

impl Handle {
    /// Seals it.
    pub fn seal(&self, keys: &SealKeys) -> Vec<u8> {
        keys.seal(&codec::encode(FORMAT, self))
    }

    /// Opens a sealed handle; `None` if these keys did not seal it.
    pub fn open(sealed: &[u8], keys: &SealKeys) -> Option<Self> {
        let mut buffer = sealed.to_vec();
        codec::decode("handle", FORMAT, keys.open(&mut buffer).ok()?).ok()
    }
}
