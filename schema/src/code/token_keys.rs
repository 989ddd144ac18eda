//! The keys of tokens that read nodes share, beside those that seal handles: for the phones' secrets, and denial tags.
//! They are derived from the pseudonym key, which every service of every region has.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::subject::{PseudonymKey, SubjectId};

/// Length of a MAC in a code: a guess passes once in 2^64 scans, and scans are limited.
pub(super) const MAC_BYTES: usize = 8;
/// What a MAC is over: this, then the code's bytes before the MAC.
const MAC_CONTEXT: &[u8] = b"YM1 mac";

/// The keys of tokens.
pub struct TokenKeys {
    secrets: hmac::Key,
    denials: hmac::Key,
}

/// The secret of one token, by which its phone proves to a read node that it shows the code: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenSecret([u8; 32]);

/// The name of a phone's tokens of one slot on denylists: it tells nothing to who has not the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DenialTag(pub [u8; 8]);

impl TokenKeys {
    /// Derives the keys.
    pub fn new(pseudonyms: &PseudonymKey) -> Self {
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &pseudonyms.derived_secret(purpose));
        Self { secrets: key("token secret"), denials: key("denial tag") }
    }

    /// The denial tag of a phone's tokens in one slot ([`super::Validity::slot`]), issued while the subject's view
    /// counted so many worsenings.
    pub fn denial_tag(&self, subject: SubjectId, phone: u64, slot: i64, worsenings: u32) -> DenialTag {
        let mut hmac = hmac::Context::with_key(&self.denials);
        hmac.update(subject.as_bytes());
        hmac.update(&phone.to_be_bytes());
        hmac.update(&slot.to_be_bytes());
        hmac.update(&worsenings.to_be_bytes());
        let mut tag = [0; 8];
        tag.copy_from_slice(&hmac.sign().as_ref()[..8]); // HMAC-SHA-256 has 32 bytes
        DenialTag(tag)
    }

    /// The secret of the token with this sealed handle, of which no two are equal.
    pub(super) fn secret(&self, sealed_handle: &[u8]) -> TokenSecret {
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&self.secrets, sealed_handle).as_ref());
        TokenSecret(secret)
    }
}

impl TokenSecret {
    /// From its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The MAC of a code: HMAC-SHA-256, cut. `before`: the code's bytes before it.
    pub(super) fn mac(&self, before: &[u8]) -> [u8; MAC_BYTES] {
        let mut hmac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        hmac.update(MAC_CONTEXT);
        hmac.update(before);
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&hmac.sign().as_ref()[..MAC_BYTES]);
        mac
    }

    pub(super) fn verify(&self, before: &[u8], mac: &[u8]) -> bool {
        verify_slices_are_equal(&self.mac(before), mac).is_ok()
    }
}
