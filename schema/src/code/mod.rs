//! The code on the phone: `YM1:` and Base45 (RFC 9285) of a CBOR array, as one QR alphanumeric segment.
//!
//! The array holds the issuer's part, a COSE_Sign1 (RFC 9052) around a CWT (RFC 8392) signed with ES256; two more
//! elements are reserved for the phone's part (the time and the phone's signature over it, by the key that the CWT's
//! `cnf` claim names, RFC 8747).

mod claims;
mod handle;
mod keys;

#[cfg(test)]
mod tests;

use coset::{
    CborSerializable, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, RegisteredLabelWithPrivate, cbor::Value, iana,
};

use crate::limits::MAX_CODE_CHARS;

pub use claims::{Claims, Snapshot};
pub use handle::Handle;
pub use keys::{DigestSigner, IssuerKey, IssuerKeyError, IssuerKeys, SignError, VerifyingKey};

const PREFIX: &str = "YM1:";

/// Why a text is not a genuine code. The caller checks whether a genuine code is still current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not a yima code, or damaged in reading.
    #[error("not a yima code")]
    Malformed,
    /// The key id in the code names no known key.
    #[error("signed by an unknown key")]
    UnknownIssuer,
    /// The signature does not verify with the key that the code names.
    #[error("the signature is wrong")]
    Forged,
    /// Rightly signed by a key that was revoked: anyone may have it.
    #[error("signed by a key that was revoked")]
    Revoked,
}

/// Signs claims into a code.
///
/// # Errors
/// The key is not in this process, and cannot sign now.
pub fn sign(claims: &Claims, key: &IssuerKey) -> Result<String, SignError> {
    let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES256).key_id(key.id().to_vec()).build();
    let sign1 = CoseSign1Builder::new()
        .protected(protected)
        .payload(claims.to_cbor())
        .try_create_signature(b"", |to_be_signed| key.sign(to_be_signed))?
        .build();
    Ok(format!("{PREFIX}{}", body(sign1)))
}

/// The one text of a signed code: without an unprotected header, in CBOR's shortest form.
fn body(sign1: CoseSign1) -> String {
    let issued = CoseSign1 { unprotected: Header::default(), ..sign1 }.to_vec();
    let issued = Value::Bytes(issued.expect("a COSE_Sign1 that was built or read always encodes"));
    base45::encode(Value::Array(vec![issued]).to_vec().expect("a CBOR value always encodes"))
}

/// Reads a code and checks its issuer's signature.
///
/// # Errors
/// Not a code, an unknown issuer, a wrong signature, or a revoked key, checked in that order.
pub fn open(text: &str, keys: &IssuerKeys) -> Result<Claims, CodeError> {
    let malformed = |_| CodeError::Malformed;
    let text = text.trim();
    let sent = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_CODE_CHARS).ok_or(CodeError::Malformed)?;
    let cbor = base45::decode(sent).map_err(|_| CodeError::Malformed)?;
    // One element until phones sign: a code with more belongs to a later version.
    let Value::Array(parts) = Value::from_slice(&cbor).map_err(malformed)? else { return Err(CodeError::Malformed) };
    let [Value::Bytes(issued)] = parts.as_slice() else { return Err(CodeError::Malformed) };
    let sign1 = CoseSign1::from_slice(issued).map_err(malformed)?;
    let header = &sign1.protected.header;
    if header.alg != Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256)) {
        return Err(CodeError::Malformed);
    }
    let (key, is_revoked) = keys.find(&header.key_id).ok_or(CodeError::UnknownIssuer)?;
    sign1.verify_signature(b"", |signature, signed| key.verify(signed, signature)).map_err(|_| CodeError::Forged)?;
    if is_revoked {
        return Err(CodeError::Revoked);
    }
    let claims = Claims::from_cbor(sign1.payload.as_deref().unwrap_or_default()).ok_or(CodeError::Malformed)?;
    // The signature does not cover what is around it: another text of it was not issued.
    if body(sign1) == sent { Ok(claims) } else { Err(CodeError::Malformed) }
}
