//! Sealing: authenticated encryption of small tokens that clients carry and send back (sessions, handles, entity tags).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::rand;

/// Bytes that sealing adds: key id (1), nonce (12), tag (16).
pub const OVERHEAD_BYTES: usize = 29;

/// One seal key with its id.
struct Key {
    id: u8,
    aead: LessSafeKey,
}

/// Seal keys for one purpose: one of them seals, any opens. AES-256-GCM-SIV (RFC 8452): a repeated random nonce reveals
/// only that two plain texts were equal.
pub struct SealKeys {
    keys: Vec<Key>,
    /// Index of the key that seals.
    sealing: Option<usize>,
    /// Ids of keys that were revoked.
    revoked: Vec<u8>,
}

/// Why bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// None of these keys sealed them for this purpose.
    #[error("not sealed by a key of this deployment")]
    Unknown,
    /// They name a key that was revoked.
    #[error("sealed by a key that was revoked")]
    Revoked,
}

impl SealKeys {
    /// Keys from secrets in the order of age, newest last; a key's id is its position. `purpose` separates the uses of
    /// one secret.
    ///
    /// # Panics
    /// There is no secret, or there are more than 255.
    pub fn new(secrets: &[[u8; 32]], purpose: &'static str) -> Self {
        assert!((1..=255).contains(&secrets.len()), "seal keys need 1 to 255 secrets");
        let secrets: Vec<_> = (0u8..).zip(secrets.iter().copied()).collect();
        Self::with_ids(&secrets, secrets.last().map(|(id, _)| *id), Vec::new(), purpose)
    }

    /// Keys by their ids. The key of the id `sealing` seals, if it is among them. Tokens of the ids `revoked` are refused
    /// as such.
    pub fn with_ids(secrets: &[(u8, [u8; 32])], sealing: Option<u8>, revoked: Vec<u8>, purpose: &'static str) -> Self {
        let keys: Vec<_> =
            secrets.iter().map(|(id, secret)| Key { id: *id, aead: derive_key(secret, purpose) }).collect();
        let sealing = sealing.and_then(|sealing| keys.iter().position(|key| key.id == sealing));
        Self { keys, sealing, revoked }
    }

    /// Whether one of these keys seals.
    pub fn can_seal(&self) -> bool {
        self.sealing.is_some()
    }

    /// Encrypts and authenticates `plain`.
    ///
    /// # Panics
    /// No key seals: see [`Self::can_seal`].
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        self.seal_beside(plain, &[])
    }

    /// The same; what is beside it is authenticated too, and has to be there when it is opened.
    ///
    /// # Panics
    /// As [`Self::seal`].
    pub fn seal_beside(&self, plain: &[u8], beside: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        // The system's random source cannot fail once the process runs (aws-lc aborts instead).
        rand::fill(&mut nonce).expect("system random source");
        self.seal_with_nonce(plain, beside, nonce)
    }

    fn seal_with_nonce(&self, plain: &[u8], beside: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let key = &self.keys[self.sealing.expect("callers of keys that may lack one ask can_seal")];
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        out.push(key.id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let sealed_from = 13;
        let aad = Aad::from([&[key.id], beside].concat());
        let tag = key
            .aead
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut out[sealed_from..])
            .expect("plain texts are far below AES-GCM-SIV's limit of 64 GiB");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// Decrypts the output of [`Self::seal`] in place and returns the plain part of the buffer.
    ///
    /// # Errors
    /// The bytes were altered, sealed with another key, or never sealed; or their key was revoked.
    pub fn open<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a [u8], SealError> {
        self.open_beside(sealed, &[])
    }

    /// Decrypts the output of [`Self::seal_beside`] in place, with the same beside it.
    ///
    /// # Errors
    /// As [`Self::open`], or something else was beside it.
    pub fn open_beside<'a>(&self, sealed: &'a mut [u8], beside: &[u8]) -> Result<&'a [u8], SealError> {
        let (head, body) = sealed.split_at_mut_checked(13).ok_or(SealError::Unknown)?;
        let Some(key) = self.keys.iter().find(|key| key.id == head[0]) else {
            return Err(if self.revoked.contains(&head[0]) { SealError::Revoked } else { SealError::Unknown });
        };
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| SealError::Unknown)?;
        let opened = if beside.is_empty() {
            // Of every session: nothing is allocated.
            key.aead.open_in_place(nonce, Aad::from([key.id]), body)
        } else {
            key.aead.open_in_place(nonce, Aad::from([&[key.id], beside].concat()), body)
        };
        opened.map(|plain| &*plain).map_err(|_| SealError::Unknown)
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeys({} redacted)", self.keys.len())
    }
}

/// HKDF-SHA-256 (RFC 5869): one secret serves several purposes, and no key of one purpose opens another's tokens.
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
    fn only_unaltered_tokens_of_the_same_key_and_purpose_open() {
        let keys = SealKeys::new(&[[1; 32]], "test");
        let mut sealed = keys.seal(b"who");
        assert_eq!(sealed.len(), 3 + OVERHEAD_BYTES);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(keys.open(&mut altered), Err(SealError::Unknown));
        }
        assert_eq!(SealKeys::new(&[[1; 32]], "other").open(&mut sealed.clone()), Err(SealError::Unknown));
        assert_eq!(keys.open_beside(&mut sealed.clone(), b"x"), Err(SealError::Unknown));
        assert_eq!(keys.open(&mut sealed).unwrap(), b"who");
        let sealed = keys.seal_beside(b"who", b"where");
        assert_eq!(keys.open_beside(&mut sealed.clone(), b"where").unwrap(), b"who");
        assert_eq!(keys.open_beside(&mut sealed.clone(), b"there"), Err(SealError::Unknown));
        assert_eq!(keys.open(&mut sealed.clone()), Err(SealError::Unknown));
        assert_eq!(keys.open(&mut [0; 5]), Err(SealError::Unknown));
    }

    #[test]
    fn an_older_key_still_opens_and_the_newest_seals() {
        let mut sealed = SealKeys::new(&[[1; 32]], "test").seal(b"who");
        let rotated = SealKeys::new(&[[1; 32], [2; 32]], "test");
        assert_eq!(rotated.open(&mut sealed).unwrap(), b"who");
        assert_eq!(rotated.seal(b"x")[0], 1);
    }

    #[test]
    fn a_published_key_opens_before_it_seals_and_a_revoked_one_is_told_from_an_unknown_one() {
        let (old, new) = ((0, [1; 32]), (7, [2; 32]));
        let before = SealKeys::with_ids(&[old, new], Some(0), Vec::new(), "test");
        let after = SealKeys::with_ids(&[old, new], Some(7), Vec::new(), "test");
        let (mut by_old, mut by_new) = (before.seal(b"old"), after.seal(b"new"));
        assert_eq!((by_old[0], by_new[0]), (0, 7));
        let revoked = SealKeys::with_ids(&[new], Some(7), vec![0], "test");
        assert_eq!(revoked.open(&mut by_old.clone()), Err(SealError::Revoked));
        assert_eq!(
            SealKeys::with_ids(&[old], Some(0), vec![], "test").open(&mut by_new.clone()),
            Err(SealError::Unknown)
        );
        assert_eq!(after.open(&mut by_old).unwrap(), b"old");
        assert_eq!(before.open(&mut by_new).unwrap(), b"new");
        assert!(after.can_seal() && !SealKeys::with_ids(&[old], Some(7), vec![], "test").can_seal());
    }
}
