//! SMART Health Cards: `shc:/` and two digits for each character of a JWS (RFC 7515) with a compressed payload, a FHIR
//! Bundle. Source: SMART Health Cards Framework 1.4, <https://spec.smarthealth.cards/>.

mod bundle;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use yima_schema::time::Time;

use crate::certificate::{Certificate, seconds};
use crate::trust::{Signature, TrustList};
use crate::{Refusal, Revocations, Scheme, check_times, inflate, json};

pub(crate) const PREFIX: &str = "shc:/";

/// Longest code, in characters: what the largest QR code (version 40, error correction L) holds in numeric mode, and
/// the prefix.
const MAX_CHARS: usize = 7_100;
/// Largest payload, in bytes. A card of the recommended size (a QR code of version 22) has up to 5,000.
const MAX_BYTES: usize = 16_384;
/// The lowest character of a JWS, `-`, is written as 00.
const FIRST_CHARACTER: u8 = 45;
/// The type that every card has.
const HEALTH_CARD: &str = "https://smarthealth.cards#health-card";

#[derive(Deserialize)]
struct JwsHeader {
    alg: String,
    zip: String,
    kid: String,
    /// Extensions that have to be understood (RFC 7515 section 4.1.11).
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    nbf: f64,
    exp: Option<f64>,
    vc: Credential,
}

#[derive(Deserialize)]
struct Credential {
    #[serde(rename = "type")]
    types: Vec<String>,
    #[serde(rename = "credentialSubject")]
    subject: Subject,
    /// The revocation identifier.
    rid: Option<String>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(rename = "fhirBundle")]
    bundle: bundle::Bundle,
}

/// Reads and checks a code.
pub(crate) fn read(code: &str, trust: &TrustList, revoked: &Revocations, now: Time) -> Result<Certificate, Refusal> {
    let jws = jws(code)?;
    let parts: Vec<&str> = jws.split('.').collect();
    let &[header, payload, signature] = parts.as_slice() else { return Err(Refusal::Malformed) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
    let JwsHeader { alg, zip, kid, crit } = json::read(&decode(header)?)?;
    if alg != "ES256" || zip != "DEF" || crit.is_some() {
        return Err(Refusal::Unsupported);
    }
    let signers = trust.smart_signers(&kid);
    let key = &signers.first().ok_or(Refusal::IssuerUnknown)?.key;
    let signed = &jws[..header.len() + 1 + payload.len()];
    if !key.verifies(Signature::Es256, signed.as_bytes(), &decode(signature)?) {
        return Err(Refusal::Forged);
    }

    let claims = inflate::deflate(&decode(payload)?, MAX_BYTES)?;
    let Claims { iss, nbf, exp, vc } = json::read(&claims)?;
    // Several issuers may share a key; a card is of the one that it names.
    let signer = signers.iter().find(|signer| signer.url == iss).ok_or(Refusal::IssuerUnknown)?;
    if !vc.types.iter().any(|one| one == HEALTH_CARD) {
        return Err(Refusal::Malformed);
    }
    let bundle::Content { name, born, proofs } = vc.subject.bundle.read()?;
    let issued_at = seconds(nbf)?;
    if vc.rid.is_some_and(|rid| revoked.has_card(&kid, &rid, issued_at)) {
        return Err(Refusal::Revoked);
    }
    check_times(issued_at, exp.map(seconds).transpose()?, now)?;
    Ok(Certificate { scheme: Scheme::SmartHealthCard, issuer: signer.issuer.clone(), name, born, proofs })
}

/// The JWS of a code's text.
pub(crate) fn jws(code: &str) -> Result<String, Refusal> {
    let digits = code.get(PREFIX.len()..).filter(|_| code.len() <= MAX_CHARS).ok_or(Refusal::Malformed)?;
    if is_part(digits) {
        return Err(Refusal::InParts);
    }
    if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    let characters = digits.as_bytes().chunks(2).map(|pair| {
        let value = 10 * (pair[0] - b'0') + (pair[1] - b'0');
        char::from(FIRST_CHARACTER + value)
    });
    Ok(characters.collect())
}

/// Whether this is one QR code of several: `1/3/` before its digits.
fn is_part(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    let parts: Vec<&str> = text.splitn(3, '/').collect();
    matches!(parts.as_slice(), [part, of, _] if is_number(part) && is_number(of))
}
