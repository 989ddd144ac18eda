//! Sealing: authenticated encryption of the small things that leave us and come back (sessions, handles, entity tags).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::rand;

/// Bytes that sealing adds: key id (1), nonce (12), tag (16).
pub const OVERHEAD_BYTES: usize = 29;

/// One sealing key with its id.
struct Key {
    id: u8,
    aead: LessSafeKey,
}

/// Keys for one purpose: seals with the newest, opens with any. AES-256-GCM-SIV (RFC 8452), so a repeated random nonce gives away no
/// more than that two texts were the same.
pub struct SealKeys {
    keys: Vec<Key>,
}

/// What came back is not something that these keys sealed for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by a key of ours")]
pub struct NotOurs;

impl SealKeys {
    /// From secrets in the order of their age, newest last; the id of each is its position. `purpose` separates the uses of one secret.
    ///
    /// # Panics
    /// With no secret or more than 255.
    pub fn new(secrets: &[[u8; 32]], purpose: &'static str) -> Self {
        assert!((1..=255).contains(&secrets.len()), "a seal needs 1 to 255 secrets");
        let keys = (0u8..).zip(secrets).map(|(id, secret)| Key { id, aead: derive_key(secret, purpose) }).collect();
        Self { keys }
    }

    /// Encrypts and authenticates `plain`.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        // The system's random source cannot fail once the process runs (aws-lc aborts instead).
        rand::fill(&mut nonce).expect("system random source");
        self.seal_with_nonce(plain, nonce)
    }

    fn seal_with_nonce(&self, plain: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let key = &self.keys[self.keys.len() - 1]; // `new` made sure that there is one
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        out.push(key.id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let sealed_from = 13;
        let tag = key
            .aead
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from([key.id]),
                &mut out[sealed_from..],
            )
            .expect("texts here are far below AES-GCM-SIV's 64 GiB");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// Decrypts what [`Self::seal`] made, in place, and returns the plain part of the buffer.
    ///
    /// # Errors
    /// Altered, made with a key not held, or not sealed at all.
    pub fn open<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a [u8], NotOurs> {
        let (head, body) = sealed.split_at_mut_checked(13).ok_or(NotOurs)?;
        let key = self.keys.get(usize::from(head[0])).ok_or(NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| NotOurs)?;
        let plain = key.aead.open_in_place(nonce, Aad::from([key.id]), body).map_err(|_| NotOurs)?;
        Ok(plain)
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeys({} redacted)", self.keys.len())
    }
}

/// HKDF-SHA-256 (RFC 5869): one secret file serves several purposes without one standing in for another.
fn derive_key(secret: &[u8; 32], purpose: &'static str) -> LessSafeKey {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"yima seal").extract(secret);
    let info = [purpose.as_bytes()];
    let unbound: UnboundKey = prk.expand(&info, &AES_256_GCM_SIV).expect("32 bytes are within HKDF's limit").into();
    LessSafeKey::new(unbound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let keys = SealKeys::new(&[[1; 32]], "test");
        let mut sealed = keys.seal(b"who");
        assert_eq!(sealed.len(), 3 + OVERHEAD_BYTES);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(keys.open(&mut altered), Err(NotOurs));
        }
        assert_eq!(SealKeys::new(&[[1; 32]], "other").open(&mut sealed.clone()), Err(NotOurs));
        assert_eq!(keys.open(&mut sealed).unwrap(), b"who");
        assert_eq!(keys.open(&mut [0; 5]), Err(NotOurs));
    }

    #[test]
    fn an_older_key_still_opens() {
        let mut sealed = SealKeys::new(&[[1; 32]], "test").seal(b"who");
        let rotated = SealKeys::new(&[[1; 32], [2; 32]], "test");
        assert_eq!(rotated.open(&mut sealed).unwrap(), b"who");
        assert_eq!(rotated.seal(b"x")[0], 1);
    }
}
