//! COSE_Sign1 (RFC 9052 section 4.2), untagged, signed with ES256: `[protected, {}, payload, signature]`.

use super::CodeError;
use super::cbor::{Reader, Writer};
use super::keys::{IssuerKey, IssuerKeys, SignError};

const SIGNATURE_BYTES: usize = 64;
/// COSE header parameters (RFC 9052 section 3.1) and the algorithm (RFC 9053 section 2.1).
const ALGORITHM: i64 = 1;
const KEY_ID: i64 = 4;
const ES256: i64 = -7;

/// A signed payload as it was read; its signature is not verified.
pub(crate) struct Sign1<'a> {
    /// The protected header.
    pub protected: &'a [u8],
    key_id: &'a [u8],
    /// What is signed.
    pub payload: &'a [u8],
    signature: &'a [u8],
}

/// The protected header of what `key` signs.
pub(crate) fn protected(key: &IssuerKey) -> Vec<u8> {
    Writer::default().map(2).int(ALGORITHM).int(ES256).int(KEY_ID).bytes(key.id()).finish()
}

/// Signs a payload below the header of [`protected`]. `external`: data that is signed and not sent.
///
/// # Errors
/// The key cannot sign now.
pub(crate) fn sign(key: &IssuerKey, protected: &[u8], external: &[u8], payload: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature = key.sign(&to_be_signed(protected, external, payload))?;
    Ok(Writer::default().array(4).bytes(protected).map(0).bytes(payload).bytes(&signature).finish())
}

impl<'a> Sign1<'a> {
    /// `None`: another shape, another algorithm, or further headers.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.array()? == 4).then_some(())?;
        let protected = reader.bytes()?;
        let key_id = read_header(protected)?;
        (reader.map()? == 0).then_some(())?;
        let payload = reader.bytes()?;
        let signature = reader.bytes().filter(|signature| signature.len() == SIGNATURE_BYTES)?;
        reader.end()?;
        Some(Self { protected, key_id, payload, signature })
    }

    /// Whether the issuer's key was revoked.
    ///
    /// # Errors
    /// An unknown key.
    pub fn is_of_revoked_key(&self, keys: &IssuerKeys) -> Result<bool, CodeError> {
        keys.find(self.key_id).map(|(_, is_revoked)| is_revoked).ok_or(CodeError::UnknownIssuer)
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// An unknown key, a wrong signature, or a revoked key, in that order.
    pub fn verify(&self, keys: &IssuerKeys, external: &[u8]) -> Result<(), CodeError> {
        let (key, is_revoked) = keys.find(self.key_id).ok_or(CodeError::UnknownIssuer)?;
        let signed = to_be_signed(self.protected, external, self.payload);
        key.verify(&signed, self.signature).map_err(|_| CodeError::Forged)?;
        if is_revoked { Err(CodeError::Revoked) } else { Ok(()) }
    }
}

/// The key id of a protected header that names ES256.
fn read_header(protected: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(protected);
    (reader.map()? == 2 && reader.is_next(ALGORITHM) && reader.is_next(ES256)).then_some(())?;
    let key_id = reader.is_next(KEY_ID).then(|| reader.bytes())??;
    reader.end()?;
    Some(key_id)
}

/// `Sig_structure` (RFC 9052 section 4.4).
fn to_be_signed(protected: &[u8], external: &[u8], payload: &[u8]) -> Vec<u8> {
    Writer::default().array(4).text("Signature1").bytes(protected).bytes(external).bytes(payload).finish()
}
