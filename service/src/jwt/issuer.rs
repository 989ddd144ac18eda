//! Issues tokens, for the demo's identity provider.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::{AUDIENCE, Claims};
use crate::clock;

/// The bytes are no private key of P-256, or, when generating, the system has no randomness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected a P-256 private key in PKCS #8")]
pub struct SigningKeyError;

/// Issues tokens with one key.
pub struct Issuer {
    name: String,
    key: EncodingKey,
    public: Jwk,
    header: Header,
}

/// The signed claims of a token (RFC 7519 section 4.1).
#[derive(Serialize)]
struct Signed<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(flatten)]
    claims: &'a Claims,
}

impl Issuer {
    /// Generates a key pair: the private key in PKCS #8 (RFC 5958), which is secret, and the public key as a JWK.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<(Vec<u8>, Jwk), SigningKeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningKeyError)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| SigningKeyError)?.as_ref().to_vec();
        let public = public_key(&EncodingKey::from_ec_der(&pkcs8))?;
        Ok((pkcs8, public))
    }

    /// An issuer with a private key of [`Self::generate`]. `name` is the `iss` of its tokens.
    ///
    /// # Errors
    /// The bytes are no such key.
    pub fn from_pkcs8(pkcs8: &[u8], name: impl Into<String>) -> Result<Self, SigningKeyError> {
        // The library would report a bad key only when it signs.
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| SigningKeyError)?;
        let key = EncodingKey::from_ec_der(pkcs8);
        let public = public_key(&key)?;
        let header = Header { kid: public.common.key_id.clone(), ..Header::new(Algorithm::ES256) };
        Ok(Self { name: name.into(), key, public, header })
    }

    /// A signed token with these claims, valid from now for `lifetime`.
    ///
    /// # Panics
    /// Never: [`Self::from_pkcs8`] has tried the key, and claims always serialise.
    pub fn issue(&self, claims: &Claims, lifetime: Duration) -> String {
        let now = clock::now();
        let (iat, exp) = (now.as_secs(), now.plus(lifetime).as_secs());
        let signed = Signed { iss: &self.name, aud: AUDIENCE, iat, nbf: iat, exp, claims };
        jsonwebtoken::encode(&self.header, &signed, &self.key).expect("a valid key signs claims")
    }

    /// The public key as the JWKS document (RFC 7517 section 5) that a [`super::Verifier`] reads.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({}, key redacted)", self.name)
    }
}

/// The public key with its thumbprint (RFC 7638) as key id.
fn public_key(key: &EncodingKey) -> Result<Jwk, SigningKeyError> {
    let mut public = Jwk::from_encoding_key(key, Algorithm::ES256).map_err(|_| SigningKeyError)?;
    public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256).map_err(|_| SigningKeyError)?);
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(public)
}
