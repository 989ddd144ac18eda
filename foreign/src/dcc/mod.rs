//! EU Digital COVID Certificates: `HC1:`, Base45 (RFC 9285), zlib, and a COSE_Sign1 (RFC 9052) around a CWT (RFC 8392)
//! with the claim `hcert`. Source: Regulation (EU) 2021/953; eHealth Network, "Technical Specifications for EU Digital
//! COVID Certificates", volume 1.

mod payload;

use ciborium::Value;
use coset::{Algorithm, AsCborValue, CoseSign1, Header, iana};
use yima_schema::time::Time;

use crate::cbor;
use crate::certificate::{Certificate, seconds};
use crate::inflate;
use crate::revocation::{EuIdentifiers, Revocations};
use crate::trust::{Signature, TrustList};
use crate::{Refusal, check_times};

pub(crate) const PREFIX: &str = "HC1:";

/// Longest code, in characters: what the largest QR code (version 40, error correction L) holds in alphanumeric mode.
const MAX_CHARS: usize = 4_296;
/// Largest COSE_Sign1, in bytes. Real ones have 300 to 1,100.
const MAX_BYTES: usize = 8_192;

/// CBOR tags that may stand before the array: a CWT (RFC 8392 section 6), and a COSE_Sign1.
const TAGS: [u64; 2] = [61, iana::CborTag::CoseSign1 as u64];

// Claims (RFC 8392 section 4; hcert: volume 1, section 3.3.1).
const ISSUER: i64 = 1;
const EXPIRES_AT: i64 = 4;
const NOT_BEFORE: i64 = 5;
const ISSUED_AT: i64 = 6;
const HCERT: i64 = -260;
/// The entry of `hcert` with an EU certificate.
const EU_DCC_V1: i64 = 1;

/// Reads and checks a code.
pub(crate) fn read(code: &str, trust: &TrustList, revoked: &Revocations, now: Time) -> Result<Certificate, Refusal> {
    let sign1 = envelope(code)?;
    let (protected, unprotected) = (&sign1.protected.header, &sign1.unprotected);
    if !protected.crit.is_empty() {
        return Err(Refusal::Unsupported);
    }
    let algorithm = match protected.alg.as_ref().or(unprotected.alg.as_ref()) {
        Some(Algorithm::Assigned(iana::Algorithm::ES256)) => Signature::Es256,
        Some(Algorithm::Assigned(iana::Algorithm::PS256)) => Signature::Ps256,
        _ => return Err(Refusal::Unsupported),
    };
    let kid = key_id(protected, unprotected);
    let signers = trust.dcc_signers(kid);
    if signers.is_empty() {
        return Err(Refusal::IssuerUnknown);
    }
    let signed = sign1.tbs_data(b"");
    // A key id is 8 bytes of a hash, so two certificates may share one.
    let signs = |key: &crate::trust::VerifyingKey| key.verifies(algorithm, &signed, &sign1.signature);
    let signer = signers.iter().find(|signer| signs(&signer.key)).ok_or(Refusal::Forged)?;

    let claims = cbor::read(sign1.payload.as_deref().ok_or(Refusal::Malformed)?)?;
    let hcert = cbor::get(&claims, HCERT).ok_or(Refusal::Malformed)?;
    let hcert = cbor::get(hcert, EU_DCC_V1).ok_or(Refusal::Unsupported)?;
    let payload::Content { holder, proof, uci, country } = payload::read(hcert)?;
    if !signer.usage.allows(&proof) {
        return Err(Refusal::KeyUsage);
    }
    let hashed = match algorithm {
        Signature::Es256 => &sign1.signature[..sign1.signature.len() / 2],
        Signature::Ps256 => &sign1.signature[..],
    };
    let issuer = cbor::get(&claims, ISSUER).and_then(Value::as_text).unwrap_or_default();
    if revoked.has_eu(&EuIdentifiers { kid, signature: hashed, uci: &uci, countries: [issuer, &country] }) {
        return Err(Refusal::Revoked);
    }
    let time = |claim| cbor::get(&claims, claim).and_then(cbor::numeric_date).map(seconds).transpose();
    let (issued_at, expires_at) = (time(ISSUED_AT)?, time(EXPIRES_AT)?.ok_or(Refusal::Malformed)?);
    let from = issued_at.ok_or(Refusal::Malformed)?.max(time(NOT_BEFORE)?.unwrap_or(Time::MIN));
    check_times(from, Some(expires_at), now)?;
    check_times(signer.valid_from, Some(signer.valid_until), now)?;
    let payload::Holder { name, born } = holder;
    Ok(Certificate { scheme: crate::Scheme::EuDcc, issuer: signer.issuer.clone(), name, born, proofs: vec![proof] })
}

/// The COSE_Sign1 of a code's text.
fn envelope(code: &str) -> Result<CoseSign1, Refusal> {
    let text = code.strip_prefix(PREFIX).filter(|_| code.len() <= MAX_CHARS).ok_or(Refusal::Malformed)?;
    let compressed = base45::decode(text).map_err(|_| Refusal::Malformed)?;
    // The decoder takes other digits of a last byte for the same byte.
    if base45::encode(&compressed) != text {
        return Err(Refusal::Malformed);
    }
    let mut value = cbor::read(&inflate::zlib(&compressed, MAX_BYTES)?)?;
    for expected in TAGS {
        if let Value::Tag(tag, _) = &value
            && *tag == expected
        {
            value = *value.into_tag().map_err(|_| Refusal::Malformed)?.1;
        }
    }
    CoseSign1::from_cbor_value(value).map_err(|_| Refusal::Malformed)
}

/// The protected key id counts before an unprotected one (volume 1, section 3.2.2).
fn key_id<'a>(protected: &'a Header, unprotected: &'a Header) -> &'a [u8] {
    if protected.key_id.is_empty() { &unprotected.key_id } else { &protected.key_id }
}
