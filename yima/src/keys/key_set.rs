//! The keys that rotate, with their times: the content of `keys.json`. A key's state follows from these times and the
//! clock, so no step of a rotation has to be done later, and every node takes it at the same moment.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use yima_read_api::config::ReadApiConfig;
use yima_schema::code::{MAX_PAPER_LIFETIME, VerifyingKey};
use yima_schema::time::Time;

use super::files::{self, from_base64};

/// The least time for which a key of codes is kept once it is retired: no code lives longer.
const LONGEST_CODE: Duration = MAX_PAPER_LIFETIME;
/// How far the clocks of two nodes may differ, both ways.
const CLOCK_SKEW: Duration = Duration::from_secs(600);

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum KeyKind {
    /// Signs codes.
    Issuer,
    /// Seals the handles in codes.
    Seal,
    /// Seals sessions.
    Session,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Issuer, Self::Seal, Self::Session];

    /// Its name on the command line, in files and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Seal => "seal",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a key at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Known to nodes and scanners; signs and seals nothing yet.
    Published,
    /// Signs or seals.
    Active,
    /// Signs and seals nothing any more; what it made is accepted until this moment.
    Retired(Time),
    /// Nothing that it made is valid any more.
    Ended,
    /// What it made is refused, and named as such until this moment.
    Revoked(Time),
}

impl KeyState {
    /// Its name in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired(_) => "retired",
            Self::Ended => "ended",
            Self::Revoked(_) => "revoked",
        }
    }

    /// Whether what the key makes or made is accepted.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Published | Self::Active | Self::Retired(_) => true,
            Self::Ended | Self::Revoked(_) => false,
        }
    }
}

/// A key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Issuer: the `kid` of `/v1/keys`. Seal and session: the first byte of what it seals, as a number.
    pub id: String,
    /// The file of the secret, in the same directory. A seal and a session key may share one. Without: the issuer's key
    /// is in the PKCS #11 token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Issuer: the public key, an uncompressed point in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// From when it signs or seals, until the next one does.
    pub active_from: Time,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

impl KeyEntry {
    /// The id of a seal or session key.
    pub fn number(&self) -> Option<u8> {
        self.id.parse().ok()
    }

    /// A number that tells nodes with different keys apart: the start of an issuer's id, or the number.
    pub fn short_id(&self) -> Option<u32> {
        let of_issuer = || Some(u32::from_be_bytes(*from_base64(&self.id)?.first_chunk()?));
        if self.public.is_some() { of_issuer() } else { self.number().map(u32::from) }
    }

    /// The public key of an issuer.
    pub fn verifying_key(&self) -> Option<VerifyingKey> {
        let key = VerifyingKey::from_point(&from_base64(self.public.as_ref()?)?).ok()?;
        (key.kid() == self.id).then_some(key)
    }
}

/// How long what a key made can be valid.
#[derive(Clone, Copy, Debug)]
pub struct KeptFor {
    codes: Duration,
    sessions: Duration,
}

impl KeptFor {
    /// By the lifetimes in the settings.
    pub fn new(config: &ReadApiConfig) -> Self {
        Self {
            codes: config.code_lifetime.max(LONGEST_CODE) + CLOCK_SKEW,
            sessions: config.citizen_session.max(config.checkpoint_session) + CLOCK_SKEW,
        }
    }

    fn of(&self, kind: KeyKind) -> Duration {
        match kind {
            KeyKind::Issuer | KeyKind::Seal => self.codes,
            KeyKind::Session => self.sessions,
        }
    }
}

/// The keys of each kind, in the order in which they become active.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    issuer: Vec<KeyEntry>,
    seal: Vec<KeyEntry>,
    session: Vec<KeyEntry>,
}

impl KeySet {
    /// One issuer's key, and one secret for handles and sessions.
    pub fn first(issuer: KeyEntry, seal: KeyEntry) -> Self {
        Self { issuer: vec![issuer], session: vec![seal.clone()], seal: vec![seal] }
    }

    /// Reads `keys.json`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let set: Self = serde_json::from_slice(json).map_err(|error| format!("expected the JSON of keys: {error}"))?;
        for kind in KeyKind::ALL {
            let entries = set.of(kind);
            for (at, entry) in entries.iter().enumerate() {
                let fault = |expected: &str| Err(format!("/{kind}/{at}: expected {expected}"));
                let has_id = match kind {
                    KeyKind::Issuer => entry.verifying_key().is_some(),
                    KeyKind::Seal | KeyKind::Session => entry.public.is_none() && entry.number().is_some(),
                };
                if !has_id {
                    return fault(
                        "an issuer's public key and its id, or a number from 0 to 255 as the id of another key",
                    );
                }
                if entries[..at].iter().any(|earlier| earlier.id == entry.id) {
                    return fault("an id that no other key of its kind has");
                }
                if entries[..at].iter().any(|earlier| earlier.active_from > entry.active_from) {
                    return fault("active_from no earlier than that of the key before");
                }
                let has_file = entry.file.as_ref().map_or(kind == KeyKind::Issuer, |file| files::is_rotating(file));
                if !has_file {
                    return fault("file with the name of a key's file");
                }
            }
        }
        Ok(set)
    }

    /// The keys of a kind.
    pub fn of(&self, kind: KeyKind) -> &[KeyEntry] {
        match kind {
            KeyKind::Issuer => &self.issuer,
            KeyKind::Seal => &self.seal,
            KeyKind::Session => &self.session,
        }
    }

    fn of_mut(&mut self, kind: KeyKind) -> &mut Vec<KeyEntry> {
        match kind {
            KeyKind::Issuer => &mut self.issuer,
            KeyKind::Seal => &mut self.seal,
            KeyKind::Session => &mut self.session,
        }
    }

    /// The keys of a kind with their states.
    pub fn states(&self, kind: KeyKind, kept: &KeptFor, now: Time) -> impl Iterator<Item = (&KeyEntry, KeyState)> {
        let (entries, kept) = (self.of(kind), kept.of(kind));
        let active = active_at(entries, now);
        entries.iter().enumerate().map(move |(at, entry)| {
            let until =
                |ends: Time, state: fn(Time) -> KeyState| if now < ends { state(ends) } else { KeyState::Ended };
            let state = match (entry.revoked_at, retired_at(entries, at)) {
                (Some(revoked_at), _) => until(revoked_at.plus(kept), KeyState::Revoked),
                (None, _) if active == Some(at) => KeyState::Active,
                (None, _) if entry.active_from > now => KeyState::Published,
                // The active key is a later one, so there is a moment at which one of those became active.
                (None, retired_at) => until(retired_at.unwrap_or(now).plus(kept), KeyState::Retired),
            };
            (entry, state)
        })
    }

    /// The key of a kind that signs or seals.
    pub fn active(&self, kind: KeyKind, kept: &KeptFor, now: Time) -> Option<&KeyEntry> {
        self.states(kind, kept, now).find_map(|(entry, state)| (state == KeyState::Active).then_some(entry))
    }

    /// Every key's kind, id and state.
    pub fn all_states(&self, kept: &KeptFor, now: Time) -> Vec<(KeyKind, String, KeyState)> {
        let of = |kind| self.states(kind, kept, now).map(move |(entry, state)| (kind, entry.id.clone(), state));
        KeyKind::ALL.into_iter().flat_map(of).collect()
    }

    /// Adds a key that becomes active after all others of its kind.
    pub fn add(&mut self, kind: KeyKind, entry: KeyEntry) {
        self.of_mut(kind).push(entry);
    }

    /// Revokes a key, and every other that has the same secret. A key of the same kind that is published becomes active
    /// at once. Returns the kinds that have no active key any more.
    pub fn revoke(&mut self, kind: KeyKind, id: &str, now: Time) -> Vec<KeyKind> {
        let Some(revoked) = self.of(kind).iter().find(|entry| entry.id == id).cloned() else { return Vec::new() };
        let revoked_kind = kind;
        let mut without = Vec::new();
        for kind in KeyKind::ALL {
            let is_same = |entry: &&mut KeyEntry| {
                (kind == revoked_kind && entry.id == id) || (entry.file.is_some() && entry.file == revoked.file)
            };
            let entries = self.of_mut(kind);
            let active = active_at(entries, now);
            for entry in entries.iter_mut().filter(is_same) {
                entry.revoked_at.get_or_insert(now);
            }
            if active.is_none_or(|active| entries[active].revoked_at.is_none()) {
                continue;
            }
            // An earlier key is not used again.
            match entries.iter_mut().find(|entry| entry.revoked_at.is_none() && entry.active_from > now) {
                Some(published) => published.active_from = now,
                None => without.push(kind),
            }
        }
        without
    }

    /// Removes the keys that have ended.
    pub fn remove_ended(&mut self, kept: &KeptFor, now: Time) {
        for kind in KeyKind::ALL {
            let ended = |(entry, state): (&KeyEntry, KeyState)| (state == KeyState::Ended).then(|| entry.id.clone());
            let ended: Vec<_> = self.states(kind, kept, now).filter_map(ended).collect();
            self.of_mut(kind).retain(|entry| !ended.contains(&entry.id));
        }
    }

    /// The files of secrets that are still needed.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let entries = KeyKind::ALL.into_iter().flat_map(|kind| self.of(kind));
        entries.filter(|entry| entry.revoked_at.is_none()).filter_map(|entry| entry.file.as_deref())
    }

    /// The ids of keys in the token that are not needed any more.
    pub fn unneeded_in_token(&self, kept: &KeptFor, now: Time) -> Vec<String> {
        let issuers = self.states(KeyKind::Issuer, kept, now);
        let unneeded = issuers.filter(|(entry, state)| entry.file.is_none() && !state.is_accepted());
        unneeded.map(|(entry, _)| entry.id.clone()).collect()
    }

    /// A number that no seal or session key has.
    pub fn free_number(&self, kind: KeyKind) -> Option<u8> {
        let used = |number| self.of(kind).iter().any(|entry| entry.number() == Some(number));
        let next = self.of(kind).last().and_then(KeyEntry::number).map_or(0, |last| last.wrapping_add(1));
        (0..=u8::MAX).map(|step| next.wrapping_add(step)).find(|number| !used(*number))
    }
}

/// The index of the active key. By a clock that is behind, no key may be active yet: then it is the first one.
fn active_at(entries: &[KeyEntry], now: Time) -> Option<usize> {
    let valid = |entry: &KeyEntry| entry.revoked_at.is_none();
    let by_clock = entries.iter().rposition(|entry| valid(entry) && entry.active_from <= now);
    by_clock.or_else(|| entries.iter().position(valid))
}

/// When a later key became active.
fn retired_at(entries: &[KeyEntry], at: usize) -> Option<Time> {
    let was_active = |entry: &&KeyEntry| entry.revoked_at.is_none_or(|revoked_at| revoked_at > entry.active_from);
    entries[at + 1..].iter().filter(was_active).map(|entry| entry.active_from).min()
}

#[cfg(test)]
mod tests;
