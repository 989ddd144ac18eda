//! The change record: what the feed carries to every read node of a region.

use std::fmt;

use bytes::Bytes;

use crate::codec::Undecodable;
use crate::subject::SubjectId;
use crate::view::Version;

/// A new state of one subject's view. Applying it twice, or in another order, is harmless: the version decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose view.
    pub subject: SubjectId,
    /// Its version.
    pub version: Version,
    /// The encoded view ([`crate::view::View::encode`]).
    pub view: Bytes,
}

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8;

impl Change {
    /// Format byte, subject, version (big endian), view.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.view.len());
        out.push(FORMAT);
        out.extend_from_slice(self.subject.as_bytes());
        out.extend_from_slice(&self.version.0.to_be_bytes());
        out.extend_from_slice(&self.view);
        out
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// Bytes that are not a change of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let fault = Undecodable { what: "change", format: bytes.first().copied() };
        let (head, view) = bytes.split_at_checked(HEAD_BYTES).ok_or(fault)?;
        let subject: [u8; 16] = head[1..17].try_into().map_err(|_| fault)?;
        let version: [u8; 8] = head[17..].try_into().map_err(|_| fault)?;
        if head[0] != FORMAT {
            return Err(fault);
        }
        Ok(Self {
            subject: SubjectId::from_bytes(subject),
            version: Version(u64::from_be_bytes(version)),
            view: Bytes::copy_from_slice(view),
        })
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({:?}, redacted)", self.version)
    }
}
