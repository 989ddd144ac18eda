//! Keys of issuers of SMART Health Cards, as their `/.well-known/jwks.json` has them (RFC 7517).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use yima_schema::plain_text::plain_text;

use super::VerifyingKey;
use crate::certificate::Issuer;

/// Longest name of an issuer, in characters.
const MAX_NAME: usize = 100;
/// Bytes of a coordinate on P-256.
const COORDINATE: usize = 32;

/// An issuer with one of its keys.
pub(crate) struct SmartSigner {
    /// The `iss` of its cards.
    pub url: String,
    pub issuer: Issuer,
    pub key: VerifyingKey,
}

/// A JSON Web Key. Further members, such as `x5c`, are ignored.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: String,
    pub kid: String,
    x: String,
    y: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    /// The private key, which nobody should have sent.
    d: Option<serde_json::Value>,
}

impl SmartSigner {
    /// Checks the members of an issuer.
    ///
    /// # Errors
    /// The member in error, and what it should be.
    pub(super) fn issuer(url: &str, name: &str, country: &str) -> Result<Issuer, (&'static str, String)> {
        if !url.starts_with("https://") || url.ends_with('/') {
            return Err(("issuer", "expected an https URL without a slash at its end".to_owned()));
        }
        let expected = || ("name", format!("expected 1 to {MAX_NAME} visible characters on one line"));
        let name = plain_text(name, MAX_NAME).ok_or_else(expected)?;
        Ok(Issuer { country: super::country(country)?, name: Some(name) })
    }
}

impl Jwk {
    /// The key.
    ///
    /// # Errors
    /// What it should be.
    pub(super) fn key(&self) -> Result<VerifyingKey, String> {
        let may_be = |member: &Option<String>, value| member.as_deref().is_none_or(|member| member == value);
        if self.d.is_some() {
            return Err("expected a public key: remove `d`, and tell the issuer that its private key is known".into());
        }
        if self.kty != "EC" || self.crv != "P-256" || !may_be(&self.alg, "ES256") || !may_be(&self.usage, "sig") {
            return Err("expected a key of type EC on P-256 for signatures by ES256".into());
        }
        if self.kid != self.thumbprint() {
            return Err("expected the key's SHA-256 thumbprint as kid (RFC 7638)".into());
        }
        let coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == COORDINATE);
        let point = coordinate(&self.x).zip(coordinate(&self.y));
        let key = point.and_then(|(x, y)| VerifyingKey::p256(&[&[0x04][..], &x, &y].concat()));
        key.ok_or_else(|| "expected x and y of a point on P-256, in Base64url".into())
    }

    /// SHA-256 of the required members in alphabetical order (RFC 7638 section 3).
    fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y, .. } = self;
        let members = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
    }
}
