//! The sealed handle inside a token: its subject and the version its phone was shown. A scanner without the key learns
//! nothing from it.

use serde::{Deserialize, Serialize};

use super::token::Token;
use crate::codec;
use crate::seal::{SealError, SealKeys};
use crate::subject::SubjectId;
use crate::time::Time;
use crate::view::Version;

/// The part of a token that only read nodes can open.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The subject of the code.
    pub subject: SubjectId,
    /// The version that the phone was shown, the floor of a scan in the issuer's region: a node that knows only an
    /// older one must load.
    pub version: Version,
    /// The phone that has the token; `None` for a code without a phone's key.
    pub phone: Option<u64>,
}

const FORMAT: u8 = 2;
/// Of a code of an earlier program: region and time are in the handle, which says nothing of the rest of the token.
const FORMAT_1: u8 = 1;

impl Handle {
    pub(super) fn encode(&self) -> Vec<u8> {
        codec::encode(FORMAT, self)
    }

    /// Opens the handle of a token, if it was sealed with exactly this token around it, its signature aside.
    ///
    /// # Errors
    /// It was not, or its key was revoked.
    pub(super) fn open(token: &Token<'_>, keys: &SealKeys) -> Result<Self, SealError> {
        let mut buffer = token.handle.to_vec();
        let plain = keys.open_beside(&mut buffer, &token.around_handle())?;
        codec::decode("handle", FORMAT, plain).map_err(|_| SealError::Unknown)
    }

    /// Opens the handle of a token of format 1.
    ///
    /// # Errors
    /// These keys did not seal it, or its key was revoked.
    pub(super) fn open_format_1(token: &Token<'_>, keys: &SealKeys) -> Result<Self, SealError> {
        let mut buffer = token.handle.to_vec();
        let (subject, _region, version, _sealed_at): (SubjectId, String, Version, Time) =
            codec::decode("handle", FORMAT_1, keys.open(&mut buffer)?).map_err(|_| SealError::Unknown)?;
        Ok(Self { subject, version, phone: None })
    }
}
