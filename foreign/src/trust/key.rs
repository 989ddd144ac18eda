//! Public keys and their signatures.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1, ParsedPublicKey, RSA_PSS_2048_8192_SHA256,
};

/// Bytes of one of the two numbers of a signature with a P-384 key.
const P384_BYTES: usize = 48;

/// The algorithm of a signature (RFC 9053 section 2.1, RFC 8230 section 2; RFC 7518 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// ECDSA with SHA-256. The curve is the key's: EU issuers use P-256, a few P-384.
    Es256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

/// A public key, parsed once.
pub(crate) struct VerifyingKey {
    kind: Kind,
    key: ParsedPublicKey,
    /// As browsers import it: an uncompressed point, or of RSA a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    pub portable: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Kind {
    P256,
    P384,
    Rsa,
}

impl VerifyingKey {
    /// Of an uncompressed point (SEC 1 section 2.3.3) on P-256; `None` if it is not on the curve.
    pub(crate) fn p256(point: &[u8]) -> Option<Self> {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
        Some(Self { kind: Kind::P256, key, portable: point.to_vec() })
    }

    /// Of an uncompressed point on P-384.
    pub(crate) fn p384(point: &[u8]) -> Option<Self> {
        let key = ParsedPublicKey::new(&ECDSA_P384_SHA256_ASN1, point).ok()?;
        Some(Self { kind: Kind::P384, key, portable: point.to_vec() })
    }

    /// Of an `RSAPublicKey` (RFC 8017 appendix A.1.1, DER), and the `SubjectPublicKeyInfo` around it.
    pub(crate) fn rsa(key: &[u8], info: &[u8]) -> Option<Self> {
        let key = ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).ok()?;
        Some(Self { kind: Kind::Rsa, key, portable: info.to_vec() })
    }

    /// Whether the key has signed the message by that algorithm. A key has one algorithm, whatever a code claims.
    pub(crate) fn verifies(&self, algorithm: Signature, message: &[u8], signature: &[u8]) -> bool {
        let verifies = |signature: &[u8]| self.key.verify_sig(message, signature).is_ok();
        match (self.kind, algorithm) {
            (Kind::P256, Signature::Es256) | (Kind::Rsa, Signature::Ps256) => verifies(signature),
            (Kind::P384, Signature::Es256) => to_der(signature).is_some_and(|der| verifies(&der)),
            (Kind::P256 | Kind::P384, Signature::Ps256) | (Kind::Rsa, Signature::Es256) => false,
        }
    }
}

/// A P-384 signature as `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3): the library has no other form for SHA-256 with it.
fn to_der(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.len() != 2 * P384_BYTES {
        return None;
    }
    let mut numbers = Vec::with_capacity(2 * (P384_BYTES + 3));
    for number in signature.chunks(P384_BYTES) {
        let start = number.iter().position(|byte| *byte != 0)?;
        let digits = &number[start..];
        // A number that begins with a set bit would be negative.
        let pad = usize::from(digits[0] >= 0x80);
        numbers.extend([0x02, (digits.len() + pad) as u8]);
        numbers.extend(&[0][..pad]);
        numbers.extend(digits);
    }
    // At most 102 bytes, so a length of one byte.
    Some([&[0x30, numbers.len() as u8][..], &numbers].concat())
}
