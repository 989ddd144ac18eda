//! A sign-in that was begun: sealed in a cookie, since it may end at another node, and nothing is kept of those that
//! never end.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yima_schema::seal::SealKeys;
use yima_schema::time::Time;

/// How long a person may take at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// Characters of a sealed transaction: 69 bytes.
const CHARS: usize = 92;
const SECRET_BYTES: usize = 32;

/// One sign-in. All that it is known by follows from its secret, which leaves the node only sealed.
pub(super) struct Transaction {
    secret: [u8; SECRET_BYTES],
    pub expires_at: Time,
}

impl Transaction {
    pub fn begin(now: Time) -> Self {
        Self { secret: rand::random(), expires_at: now.plus(LIFETIME) }
    }

    /// `purpose`: which sign-in it is; it opens for the same alone.
    pub fn seal(&self, keys: &SealKeys, purpose: &str) -> String {
        let plain = [&self.expires_at.as_millis().to_be_bytes()[..], &self.secret].concat();
        URL_SAFE_NO_PAD.encode(keys.seal_beside(&plain, purpose.as_bytes()))
    }

    pub fn open(sealed: &str, keys: &SealKeys, purpose: &str) -> Option<Self> {
        if sealed.len() != CHARS {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (expires_at, secret) = keys.open_beside(&mut sealed, purpose.as_bytes()).ok()?.split_first_chunk()?;
        Some(Self { expires_at: Time::from_millis(i64::from_be_bytes(*expires_at)), secret: secret.try_into().ok()? })
    }

    /// Comes back with the code, so that a code that was begun elsewhere is not taken (RFC 6749 section 10.12).
    pub fn state(&self) -> String {
        self.derive("state")
    }

    /// Comes back in the ID token, so that another sign-in's is not taken.
    pub fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// The PKCE verifier (RFC 7636 section 4.1), without which a stolen code is worth nothing.
    pub fn verifier(&self) -> String {
        self.derive("verifier")
    }

    /// The PKCE challenge by `S256`.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier().as_bytes()))
    }

    pub fn has_state(&self, state: &str) -> bool {
        verify_slices_are_equal(self.state().as_bytes(), state.as_bytes()).is_ok()
    }

    fn derive(&self, what: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, what.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_opens_for_its_own_purpose_and_unaltered_only() {
        let keys = SealKeys::new(&[[7; 32]], "sign-in");
        let begun = Transaction::begin(Time::from_secs(100));
        let sealed = begun.seal(&keys, "citizen");
        assert_eq!(sealed.len(), CHARS);
        let opened = Transaction::open(&sealed, &keys, "citizen").unwrap();
        assert_eq!(opened.expires_at, Time::from_secs(700));
        assert!(opened.has_state(&begun.state()) && !opened.has_state(&begun.nonce()) && !opened.has_state(""));
        assert_eq!(opened.verifier().len(), 43);
        assert!(Transaction::open(&sealed, &keys, "agency").is_none());
        assert!(Transaction::open(&sealed[1..], &keys, "citizen").is_none());
        let altered = sealed.replacen(|c: char| c.is_ascii_lowercase(), "Z", 1);
        assert!(Transaction::open(&altered, &keys, "citizen").is_none());
    }
}
