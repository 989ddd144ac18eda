//! Reads the secrets of a key set into the keyring of a read service.

use yima_read_api::Keyring;
use yima_read_api::config::ReadApiConfig;
use yima_schema::code::{IssuerKey, IssuerKeys};
use yima_schema::seal::SealKeys;
use yima_schema::time::Time;
use yima_writer::offline_bundle::ReleaseKeys;

use super::KeyDir;
use super::files::{KEYS, secret};
use super::key_set::{KeptFor, KeyEntry, KeyKind, KeySet, KeyState};
use crate::error::CommandError;

/// A keyring, and what it lacks.
pub struct Loaded {
    /// The keys that could be read.
    pub keyring: Keyring,
    /// Keys whose file is missing or invalid. A node without an active key goes on with the newest one that it has: all
    /// nodes accept it for as long as it is kept.
    pub unreadable: Vec<CommandError>,
    /// Whether it signs and seals all that the node has to.
    pub is_complete: bool,
}

impl KeyDir {
    /// The keyring of a set at `now`. A node that does not sign codes reads no private key of an issuer.
    pub(super) fn keyring(&self, set: &KeySet, kept: &KeptFor, signs_codes: bool, now: Time) -> Loaded {
        let mut unreadable = Vec::new();
        let issuer = if signs_codes { self.signing_key(set, kept, now, &mut unreadable) } else { None };
        let issuers = issuers(set, kept, now);
        let handles = self.seal_keys(set, KeyKind::Seal, "handle", kept, now, &mut unreadable);
        let sessions = self.seal_keys(set, KeyKind::Session, "session", kept, now, &mut unreadable);
        // Of the same files, which were read just now.
        let tickets = self.seal_keys(set, KeyKind::Session, "tls ticket", kept, now, &mut Vec::new());
        let is_complete = (issuer.is_some() || !signs_codes) && handles.can_seal() && sessions.can_seal();
        Loaded { keyring: Keyring::new(issuer, issuers, handles, sessions, tickets), unreadable, is_complete }
    }

    /// The key that signs: the active one, or the newest retired one while its file is missing. The file of a published
    /// key is read too, so that a missing one is noticed before its time.
    fn signing_key(
        &self,
        set: &KeySet,
        kept: &KeptFor,
        now: Time,
        unreadable: &mut Vec<CommandError>,
    ) -> Option<IssuerKey> {
        let mut signing = None;
        for (entry, state) in set.states(KeyKind::Issuer, kept, now) {
            match state {
                KeyState::Retired(_) => signing = self.issuer_of(entry).ok().or(signing),
                KeyState::Active => match self.issuer_of(entry) {
                    Ok(key) => signing = Some(key),
                    Err(error) => unreadable.push(error),
                },
                KeyState::Published => unreadable.extend(self.issuer_of(entry).err()),
                KeyState::Ended | KeyState::Revoked(_) => {}
            }
        }
        signing
    }

    /// The keys of offline bundles at `now`: the one that signs, and all that are published.
    ///
    /// # Errors
    /// `keys.json` is invalid, or no key that signs can be read.
    pub fn for_releases(&self, config: &ReadApiConfig, now: Time) -> Result<ReleaseKeys, CommandError> {
        let (set, kept, mut unreadable) = (self.key_set(now)?, KeptFor::new(config), Vec::new());
        let signs = self.signing_key(&set, &kept, now, &mut unreadable);
        let signs = signs.ok_or_else(|| unreadable.pop().unwrap_or_else(|| self.no_active_key()))?;
        Ok(ReleaseKeys { signs, issuers: issuers(&set, &kept, now).accepted().to_vec() })
    }

    /// The keys that seal sessions at `now`.
    ///
    /// # Errors
    /// `keys.json` is invalid, or no key that seals can be read.
    pub fn for_sessions(&self, config: &ReadApiConfig, now: Time) -> Result<SealKeys, CommandError> {
        let (set, kept, mut unreadable) = (self.key_set(now)?, KeptFor::new(config), Vec::new());
        let keys = self.seal_keys(&set, KeyKind::Session, "session", &kept, now, &mut unreadable);
        if keys.can_seal() { Ok(keys) } else { Err(unreadable.pop().unwrap_or_else(|| self.no_active_key())) }
    }

    /// The active keys by kind, each as the number that `key_active_number` has for it.
    ///
    /// # Errors
    /// `keys.json` is invalid, or a key is missing.
    pub fn active_numbers(&self, config: &ReadApiConfig, now: Time) -> Result<Vec<(KeyKind, u32)>, CommandError> {
        let (set, kept) = (self.key_set(now)?, KeptFor::new(config));
        let number = |kind| Some((kind, set.active(kind, &kept, now)?.short_id()?));
        Ok(KeyKind::ALL.into_iter().filter_map(number).collect())
    }

    /// `keys.json` names no active key.
    pub(super) fn no_active_key(&self) -> CommandError {
        CommandError::key(&self.directory.join(KEYS), &"expected an active key of each kind")
    }

    fn issuer_of(&self, entry: &KeyEntry) -> Result<IssuerKey, CommandError> {
        let Some(file) = &entry.file else {
            let unset = || CommandError::setting("keys.pkcs11", format!("expected the token of the key {}", entry.id));
            return self.token.as_ref().ok_or_else(unset)?.issuer(entry);
        };
        let key = self.issuer(file)?;
        if key.verifying_key().kid() == entry.id {
            return Ok(key);
        }
        let expected = format!("expected the private key of {} in keys.json", entry.id);
        Err(CommandError::key(&self.directory.join(file), &expected))
    }

    /// The seal keys of a kind for one purpose.
    pub(super) fn seal_keys(
        &self,
        set: &KeySet,
        kind: KeyKind,
        purpose: &'static str,
        kept: &KeptFor,
        now: Time,
        unreadable: &mut Vec<CommandError>,
    ) -> SealKeys {
        let (mut secrets, mut sealing, mut revoked) = (Vec::new(), None, Vec::new());
        for (entry, state) in set.states(kind, kept, now) {
            let (Some(number), Some(file)) = (entry.number(), &entry.file) else { continue };
            if matches!(state, KeyState::Revoked(_)) {
                revoked.push(number);
            }
            if !state.is_accepted() {
                continue;
            }
            match secret(&self.directory.join(file)) {
                Ok(secret) => {
                    secrets.push((number, secret));
                    if state != KeyState::Published {
                        sealing = Some(number);
                    }
                }
                Err(error) => unreadable.push(error),
            }
        }
        SealKeys::with_ids(&secrets, sealing, revoked, purpose)
    }
}

/// The public keys of issuers: those accepted, and those revoked.
fn issuers(set: &KeySet, kept: &KeptFor, now: Time) -> IssuerKeys {
    let (mut accepted, mut revoked) = (Vec::new(), Vec::new());
    for (entry, state) in set.states(KeyKind::Issuer, kept, now) {
        let keys = match state {
            KeyState::Published | KeyState::Active | KeyState::Retired(_) => &mut accepted,
            KeyState::Revoked(_) => &mut revoked,
            KeyState::Ended => continue,
        };
        keys.extend(entry.verifying_key());
    }
    IssuerKeys::new(accepted).with_revoked(revoked)
}
