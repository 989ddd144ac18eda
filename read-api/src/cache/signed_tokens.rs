//! The module `code`: signed tokens of phones. A batch that a phone asks for again, because the answer was lost or
//! another tab asks too, costs no signature.
//!
//! A token is found by a digest of all that it says: subject, version, phone, its key, slot, times and snapshot, and by
//! the keyring in force. So whatever changes of them finds nothing, and nothing has to be removed.

use std::sync::Arc;

use yima_schema::code::{Claims, Handle, Issued, TokenKeys};
use yima_schema::problem::Problem;

use super::memory::ByFingerprint;
use super::module::Module;
use super::outcome::Outcome;
use crate::keyring::Keyring;

/// What an entry takes beside its token: digest, secret, and the cache's own.
const ENTRY_BYTES: usize = 250;
const SHARDS: usize = 4;

/// The tokens signed last.
pub struct SignedTokens(Module<[u8; 32], Arc<Issued>, ByFingerprint>);

impl SignedTokens {
    /// Of so many bytes; 0 keeps none.
    pub fn new(bytes: usize) -> Self {
        Self(Module::new("code", bytes, SHARDS, |_, issued| issued.token.len() + ENTRY_BYTES, ByFingerprint))
    }

    /// Keeps so many bytes from now on.
    pub fn resize(&self, bytes: usize) {
        self.0.resize(bytes);
    }

    /// Number of tokens.
    pub fn entries(&self) -> usize {
        self.0.tier.entries()
    }

    /// The signed token of these claims.
    ///
    /// # Errors
    /// 503, as [`Keyring::issue`].
    pub fn issue(
        &self,
        keyring: &Keyring,
        claims: &Claims,
        handle: &Handle,
        tokens: &TokenKeys,
    ) -> Result<Arc<Issued>, Problem> {
        if !self.0.is_on() {
            return keyring.issue(claims, handle, tokens).map(Arc::new);
        }
        let digest = claims.digest(handle, &keyring.serial().to_be_bytes());
        if let Some(entry) = self.0.tier.get(&digest) {
            self.0.outcomes.count(Outcome::HitMemory);
            return Ok(Arc::clone(entry.value()));
        }
        let mut pending = self.0.outcomes.pending();
        let issued = Arc::new(keyring.issue(claims, handle, tokens)?);
        pending.outcome = Outcome::Miss;
        self.0.tier.insert(digest, issued.clone());
        Ok(issued)
    }
}
