//! The offline bundle: all that a scanner without a network judges codes by. `docs/offline-bundle.md` is the
//! specification.
//!
//! An [`Index`], released every few minutes and signed, has the issuers' keys and the rules, and names immutable parts:
//! the denylist, cut by slots and by the time at which denials became known ([`ranges`]), and the guidance document.

mod cover;
mod emergency;
mod index;
mod part;
pub mod ranges;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use crate::code::CodeError;

pub use cover::{Ways, cover};
pub use emergency::{Emergency, EmergencyError, duration};
pub use index::{AcceptanceRules, Ages, Blob, ForeignLists, Index, SlotParts, VERSION};
pub use part::{MAX_PART_BYTES, MAX_TAGS, Precision, TagSet};

use crate::time::Time;

/// The parts of a slot as an index names them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PartName {
    /// The part has the tags that became known after this moment, and that were not in the parts up to it already.
    pub from: Time,
    /// And up to this one.
    pub to: Time,
    /// Its bytes.
    pub blob: Blob,
}

/// Why a bundle is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle, of another version, damaged, or cut short.
    #[error("not a bundle")]
    Malformed,
    /// Signed by an unknown key.
    #[error("signed by an unknown key")]
    UnknownIssuer,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Forged,
    /// Rightly signed, by a key that was revoked.
    #[error("signed by a key that was revoked")]
    Revoked,
    /// Of an earlier release than the one held.
    #[error("older than the bundle held")]
    Older,
}

impl From<CodeError> for BundleError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::UnknownIssuer => Self::UnknownIssuer,
            CodeError::Forged => Self::Forged,
            CodeError::Revoked => Self::Revoked,
            CodeError::Malformed
            | CodeError::WrongPhone
            | CodeError::NotYetValid
            | CodeError::Expired
            | CodeError::StaleProof => Self::Malformed,
        }
    }
}
