//! The module `session`: opened sessions, so that a session in steady use is not decrypted with each request.
//!
//! Only what the token itself says is kept, which never changes: holder, start, end. Whether the session was ended, and
//! which phones there are, is in the citizen's view, and asked of the view each time. An entry counts for the keyring
//! that opened it alone, so a revoked key ends it at once.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use yima_schema::seal::SealError;
use yima_schema::session::Session;

use super::module::Module;
use super::outcome::Outcome;
use crate::keyring::Keyring;

/// What an entry takes beside its token: the session, and the cache's own.
const ENTRY_BYTES: usize = 300;
const SHARDS: usize = 16;

/// The sessions opened last, by their tokens.
pub struct OpenedSessions(Module<Arc<str>, Arc<Opened>, ByTail>);

struct Opened {
    session: Session,
    /// The keyring that opened it.
    keyring: u64,
}

impl OpenedSessions {
    /// Of so many bytes; 0 keeps none.
    pub fn new(bytes: usize) -> Self {
        Self(Module::new("session", bytes, SHARDS, |token, _| token.len() + ENTRY_BYTES, ByTail))
    }

    /// Keeps so many bytes from now on.
    pub fn resize(&self, bytes: usize) {
        self.0.resize(bytes);
    }

    /// Number of sessions.
    pub fn entries(&self) -> usize {
        self.0.tier.entries()
    }

    /// The session of a token. The caller checks whether it has expired.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open(&self, token: &str, keyring: &Keyring) -> Result<Session, SealError> {
        if !self.0.is_on() {
            return Session::open(token, keyring.sessions());
        }
        if let Some(entry) = self.0.tier.get(token)
            && entry.value().keyring == keyring.serial()
        {
            self.0.outcomes.count(Outcome::HitMemory);
            return Ok(entry.value().session.clone());
        }
        let mut pending = self.0.outcomes.pending();
        let session = Session::open(token, keyring.sessions())?;
        pending.outcome = Outcome::Miss;
        let opened = Opened { session: session.clone(), keyring: keyring.serial() };
        self.0.tier.insert(token.into(), Arc::new(opened));
        Ok(session)
    }
}

/// Hashes a token to its last eight characters, of its authentication tag: nobody chooses those of a genuine one.
#[derive(Clone, Copy, Default, Debug)]
struct ByTail;

#[derive(Default)]
struct TailHasher(u64);

impl BuildHasher for ByTail {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher::default()
    }
}

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, tail)) = bytes.split_last_chunk::<8>() {
            // Base64 leaves bits of each character that are always the same.
            self.0 = u64::from_le_bytes(*tail).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_u8(&mut self, _end: u8) {}

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
