//! Issuers' keys: ES256 (ECDSA with P-256 and SHA-256).

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coset::{CborSerializable, CoseKey, CoseKeyBuilder, CoseKeySet, iana};
use serde::Serialize;

use crate::digest::sha256_16;

/// Length of a key id: the first bytes of SHA-256 of the public key.
const KEY_ID_BYTES: usize = 8;

/// A key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerKeyError {
    /// Not a P-256 private key as PKCS#8.
    #[error("expected a P-256 private key in PKCS#8 (DER)")]
    NotP256,
    /// Not a P-256 public key as an uncompressed point.
    #[error("expected a P-256 public key: an uncompressed point (SEC 1 section 2.3.3)")]
    NotAPoint,
}

/// The key cannot sign now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's key cannot sign now")]
pub struct SignError;

/// Signs with a private key that is not in this process.
pub trait DigestSigner: Send + Sync {
    /// The signature over a SHA-256 digest: r and s, 32 bytes each (RFC 9053 section 2.1). May wait.
    ///
    /// # Errors
    /// The key cannot sign now; the signer has logged why.
    fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, SignError>;
}

/// The key with which this region's read nodes sign codes.
pub struct IssuerKey {
    private: PrivateKey,
    public: VerifyingKey,
}

enum PrivateKey {
    Here(EcdsaKeyPair),
    Elsewhere(Box<dyn DigestSigner>),
}

/// The public part of an issuer's key.
#[derive(Clone)]
pub struct VerifyingKey {
    id: [u8; KEY_ID_BYTES],
    point: Vec<u8>,
}

/// The issuers whose codes are known.
#[derive(Clone, Default)]
pub struct IssuerKeys {
    accepted: Vec<VerifyingKey>,
    revoked: Vec<VerifyingKey>,
}

/// A public key as JSON Web Key (RFC 7517).
#[derive(Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
    y: String,
}

impl IssuerKey {
    /// A new key as PKCS#8 (DER).
    ///
    /// # Panics
    /// The system's random source fails.
    pub fn generate() -> Vec<u8> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("system random source");
        pair.to_pkcs8v1().expect("a generated key always encodes").as_ref().to_vec()
    }

    /// Reads PKCS#8 (DER).
    ///
    /// # Errors
    /// The bytes are not such a key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, IssuerKeyError> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| IssuerKeyError::NotP256)?;
        let point = pair.public_key().as_ref().to_vec();
        let public = VerifyingKey { id: key_id(&point), point };
        Ok(Self { private: PrivateKey::Here(pair), public })
    }

    /// A key whose private part is not in this process.
    pub fn elsewhere(public: VerifyingKey, signer: Box<dyn DigestSigner>) -> Self {
        Self { private: PrivateKey::Elsewhere(signer), public }
    }

    /// The key's id.
    pub fn id(&self) -> &[u8] {
        &self.public.id
    }

    /// The public part.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.private {
            PrivateKey::Here(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).expect("system random source");
                Ok(signature.as_ref().to_vec())
            }
            PrivateKey::Elsewhere(signer) => {
                let digest = digest::digest(&digest::SHA256, message);
                let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
                signer.sign(digest)
            }
        }
    }
}

impl VerifyingKey {
    /// Reads an uncompressed point: 0x04, x, y (SEC 1 section 2.3.3).
    ///
    /// # Errors
    /// The bytes are no point of P-256.
    pub fn from_point(point: &[u8]) -> Result<Self, IssuerKeyError> {
        let is_uncompressed = point.len() == 65 && point[0] == 4;
        if !is_uncompressed || ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_err() {
            return Err(IssuerKeyError::NotAPoint);
        }
        Ok(Self { id: key_id(point), point: point.to_vec() })
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The key's id, as codes carry it.
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The key's id as text: base64url, the `kid` of a JSON Web Key.
    pub fn kid(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }

    /// The public key of `point` under the id of `id`: a forger's key.
    #[cfg(test)]
    pub(super) fn with_id_of(id: &IssuerKey, point: &IssuerKey) -> Self {
        Self { id: id.public.id, ..point.verifying_key() }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point).verify(message, signature)
    }

    /// x and y of the uncompressed point: 0x04, x, y (SEC 1 section 2.3.3).
    fn coordinates(&self) -> (&[u8], &[u8]) {
        self.point[1..].split_at(32)
    }

    fn cose_key(&self) -> CoseKey {
        let (x, y) = self.coordinates();
        CoseKeyBuilder::new_ec2_pub_key(iana::EllipticCurve::P_256, x.to_vec(), y.to_vec())
            .key_id(self.id.to_vec())
            .algorithm(iana::Algorithm::ES256)
            .build()
    }

    fn jwk(&self) -> Jwk {
        let (x, y) = self.coordinates();
        Jwk {
            kty: "EC",
            crv: "P-256",
            alg: "ES256",
            usage: "sig",
            kid: self.kid(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }
}

impl IssuerKeys {
    /// Accepts codes signed by these keys.
    pub fn new(accepted: Vec<VerifyingKey>) -> Self {
        Self { accepted, revoked: Vec::new() }
    }

    /// Refuses codes signed by these keys as [`super::CodeError::Revoked`].
    pub fn with_revoked(self, revoked: Vec<VerifyingKey>) -> Self {
        Self { revoked, ..self }
    }

    /// The accepted keys.
    pub fn accepted(&self) -> &[VerifyingKey] {
        &self.accepted
    }

    /// The key with that id, and whether it was revoked.
    pub(super) fn find(&self, id: &[u8]) -> Option<(&VerifyingKey, bool)> {
        let accepted = self.accepted.iter().map(|key| (key, false));
        let mut known = accepted.chain(self.revoked.iter().map(|key| (key, true)));
        known.find(|(key, _)| key.id == id)
    }

    /// The accepted keys as a JSON Web Key Set (RFC 7517 section 5).
    pub fn jwks(&self) -> Vec<Jwk> {
        self.accepted.iter().map(VerifyingKey::jwk).collect()
    }

    /// The accepted keys as a COSE key set (RFC 9052 section 7), in deterministic CBOR (RFC 8949 section 4.2.1). The key
    /// ids are those of codes, not thumbprints (RFC 9679).
    ///
    /// # Panics
    /// Never: numbers and byte strings always encode.
    pub fn cose_key_set(&self) -> Vec<u8> {
        let keys = CoseKeySet(self.accepted.iter().map(VerifyingKey::cose_key).collect());
        keys.to_vec().expect("a COSE key set always encodes")
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerKey(redacted)")
    }
}

fn key_id(point: &[u8]) -> [u8; KEY_ID_BYTES] {
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&sha256_16(point)[..KEY_ID_BYTES]);
    id
}
