//! A phone's part of a code: its key, and the proof that it shows the code now.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey, UnparsedPublicKey,
};

use super::cbor::Writer;
use super::token_keys::TokenSecret;
use super::{IssuerKeyError, text_of};
use crate::time::Time;

/// Length of a compressed point (SEC 1 section 2.3.3).
const POINT_BYTES: usize = 33;
/// What a proof is over: this, then the code's bytes before the proof.
const PROOF_CONTEXT: &[u8] = b"YM1 proof";

/// The public key of one token's phone: a point of P-256, compressed. A point read from a code may be on no curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhoneKey {
    pub(super) x: [u8; 32],
    pub(super) y_is_odd: bool,
}

/// A proof cannot be checked, or is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProofError {
    NoPoint,
    Wrong,
}

impl PhoneKey {
    /// A compressed point that is on the curve. P-256 has no points of low order but the one at infinity, which has no
    /// such form.
    pub fn from_compressed(bytes: &[u8]) -> Option<Self> {
        let (first, x) = bytes.split_first()?;
        let y_is_odd = match first {
            2 => false,
            3 => true,
            _ => return None,
        };
        let key = Self { x: x.try_into().ok()?, y_is_odd };
        key.parse().map(|_| key)
    }

    /// The compressed point.
    pub fn compressed(&self) -> [u8; POINT_BYTES] {
        let mut point = [2 + u8::from(self.y_is_odd); POINT_BYTES];
        point[1..].copy_from_slice(&self.x);
        point
    }

    fn parse(&self) -> Option<ParsedPublicKey> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.compressed()).parse().ok()
    }

    /// Checks a proof. `before`: the code's bytes before it.
    pub(super) fn verify(&self, before: &[u8], proof: &[u8]) -> Result<(), ProofError> {
        let key = self.parse().ok_or(ProofError::NoPoint)?;
        key.verify_sig(&[PROOF_CONTEXT, before].concat(), proof).map_err(|_| ProofError::Wrong)
    }
}

/// A phone's private key of one token. Phones are browsers: this stands for them in tests and measurements.
pub struct PhoneKeyPair(EcdsaKeyPair);

impl PhoneKeyPair {
    /// A new key.
    ///
    /// # Panics
    /// The system's random source fails.
    pub fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("system random source"))
    }

    /// Reads PKCS#8 (DER).
    ///
    /// # Errors
    /// The bytes are not such a key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, IssuerKeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        pair.map(Self).map_err(|_| IssuerKeyError::NotP256)
    }

    /// The public key.
    pub fn public(&self) -> PhoneKey {
        // Uncompressed: 0x04, x, y (SEC 1 section 2.3.3).
        let point = self.0.public_key().as_ref();
        let mut x = [0; 32];
        x.copy_from_slice(&point[1..33]);
        PhoneKey { x, y_is_odd: point[64] & 1 == 1 }
    }

    /// The code that shows a token at `now`.
    pub fn show(&self, token: &[u8], secret: &TokenSecret, now: Time) -> String {
        let before = Writer::default().array(4).bytes(token).int(now.as_secs());
        text_of(&self.prove(before.finish(), secret))
    }

    /// Adds proof and MAC to the beginning of a code.
    pub(super) fn prove(&self, before: Vec<u8>, secret: &TokenSecret) -> Vec<u8> {
        let signed = [PROOF_CONTEXT, &before].concat();
        let proof = self.0.sign(&SystemRandom::new(), &signed).expect("system random source");
        let before = Writer::default().raw(&before).bytes(proof.as_ref()).finish();
        let mac = secret.mac(&before);
        Writer::default().raw(&before).bytes(&mac).finish()
    }
}
