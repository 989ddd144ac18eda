//! `yima keys`: lists, rotates and revokes keys. It needs only the key directory; running services read the files again.
//! Nothing secret is printed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use yima_schema::code::IssuerKey;
use yima_schema::time::{DAY, HOUR, Time};
use yima_service::clock::now;
use yima_store::failpoint;

use super::files::{self, KEYS};
use super::key_set::{KeptFor, KeyEntry, KeyKind, KeySet, KeyState};
use super::{KeyDir, random_secret, to_json};
use crate::backup::check_owner;
use crate::cli::{KeyAction, Options};
use crate::config::{Config, Role};
use crate::error::CommandError;

impl KeyKind {
    /// For how long a key is published before it is used: longer than the slowest reader takes to learn of it.
    fn published_for(self) -> Duration {
        match self {
            // A scanner may go on for a day with the issuers' keys that it has.
            Self::Issuer => DAY + HOUR,
            // An operator copies the files to other nodes.
            Self::Seal | Self::Session => HOUR,
        }
    }
}

/// Runs `yima keys`.
///
/// # Errors
/// A wrong id, a rotation under way, or files that cannot be read or written; nothing was changed.
pub fn run(options: &Options, action: &KeyAction) -> Result<(), CommandError> {
    let config = Config::load(options.config.as_deref(), Role::ReadApi)?;
    let (dir, kept, now) = (config.keys(&options.data_dir), KeptFor::new(&config.read_api), now());
    check_owner(&options.data_dir)?;
    let lines = match action {
        KeyAction::List => list(&dir.key_set(now)?, &kept, now),
        KeyAction::Rotate { kind, publish_s } => {
            let published_for = publish_s.map_or(kind.published_for(), |seconds| Duration::from_secs(seconds.into()));
            dir.rotate(*kind, now.plus(published_for), &kept, now)?
        }
        KeyAction::Revoke { kind, id } => dir.revoke(*kind, id, &kept, now)?,
    };
    let written = lines.iter().try_for_each(|line| writeln!(io::stdout(), "{line}"));
    written.map_err(|e| CommandError::file(Path::new("standard output"), &e))
}

/// One key a line.
fn list(set: &KeySet, kept: &KeptFor, now: Time) -> Vec<String> {
    let line = |kind: KeyKind, entry: &KeyEntry, state: KeyState| {
        let KeyEntry { id, created_at, active_from, .. } = entry;
        let line = format!("{kind} {id} {} created_at={created_at} active_from={active_from}", state.as_str());
        match (entry.revoked_at, state) {
            (Some(revoked_at), _) => format!("{line} revoked_at={revoked_at}"),
            (None, KeyState::Retired(ends_at)) => format!("{line} ends_at={ends_at}"),
            (None, _) => line,
        }
    };
    let of = |kind| set.states(kind, kept, now).map(move |(entry, state)| line(kind, entry, state));
    KeyKind::ALL.into_iter().flat_map(of).collect()
}

impl KeyDir {
    /// Makes a new key, which becomes active at that moment.
    pub(super) fn rotate(
        &self,
        kind: KeyKind,
        active_from: Time,
        kept: &KeptFor,
        now: Time,
    ) -> Result<Vec<String>, CommandError> {
        let _lock = self.lock()?;
        let mut set = self.key_set(now)?;
        let mut published = set.states(kind, kept, now).filter(|(_, state)| *state == KeyState::Published);
        if let Some((KeyEntry { id, active_from, .. }, _)) = published.next() {
            return Err(CommandError::Usage(format!(
                "the {kind} key {id} is published already and becomes active at {active_from}: rotate after that, or \
                 revoke it"
            )));
        }
        drop(published);
        let entry = self.make(kind, &set, active_from, now)?;
        let line = format!(
            "{kind} key {} is published, and active from {active_from}: copy {}{KEYS} to every other node before",
            entry.id,
            entry.file.as_ref().map_or_else(String::new, |file| format!("{file} and "))
        );
        set.add(kind, entry);
        self.write(set, kept, now)?;
        Ok(vec![line])
    }

    /// Revokes a key. An active one is replaced at once.
    pub(super) fn revoke(
        &self,
        kind: KeyKind,
        id: &str,
        kept: &KeptFor,
        now: Time,
    ) -> Result<Vec<String>, CommandError> {
        let _lock = self.lock()?;
        let mut set = self.key_set(now)?;
        let Some(entry) = set.of(kind).iter().find(|entry| entry.id == id) else {
            let known: Vec<_> = set.of(kind).iter().map(|entry| entry.id.as_str()).collect();
            return Err(CommandError::Usage(format!("ID: expected a key of kind {kind}: {}", known.join(", "))));
        };
        if let Some(revoked_at) = entry.revoked_at {
            return Err(CommandError::Usage(format!("the {kind} key {id} was revoked at {revoked_at}")));
        }
        let before = set.all_states(kept, now);
        for kind in set.revoke(kind, id, now) {
            let entry = self.make(kind, &set, now, now)?;
            set.add(kind, entry);
        }
        let after = set.all_states(kept, now);
        self.write(set, kept, now)?;
        let changed = after.into_iter().filter(|state| !before.contains(state));
        let mut lines: Vec<_> =
            changed.map(|(kind, id, state)| format!("{kind} key {id} is {}", state.as_str())).collect();
        lines.push(format!("copy the new files and {KEYS} to every other node now"));
        Ok(lines)
    }

    /// Makes a key and writes its secret. Until `keys.json` names it, it is not used.
    pub(super) fn make(
        &self,
        kind: KeyKind,
        set: &KeySet,
        active_from: Time,
        now: Time,
    ) -> Result<KeyEntry, CommandError> {
        let entry = |id, file, public| KeyEntry { id, file, public, created_at: now, active_from, revoked_at: None };
        let (id, file, public, content) = match (kind, &self.token) {
            (KeyKind::Issuer, Some(token)) => {
                let key = token.generate()?;
                return Ok(entry(key.kid(), None, Some(files::to_base64(key.point()))));
            }
            (KeyKind::Issuer, None) => {
                let pkcs8 = IssuerKey::generate();
                let key = IssuerKey::from_pkcs8(&pkcs8).expect("a key just generated").verifying_key();
                (key.kid(), format!("issuer-{}.p8", key.kid()), Some(files::to_base64(key.point())), pkcs8)
            }
            (KeyKind::Seal | KeyKind::Session, _) => {
                let number = set.free_number(kind).ok_or_else(|| {
                    CommandError::Usage(format!("there are 256 {kind} keys already: wait until one has ended"))
                })?;
                (number.to_string(), format!("{kind}-{number}.key"), None, random_secret())
            }
        };
        files::replace(&self.directory, &file, &content)?;
        Ok(entry(id, Some(file), public))
    }

    /// Puts a set in place of `keys.json`, then removes the files of secrets that it does not need, and what was left by
    /// a command that was killed.
    fn write(&self, mut set: KeySet, kept: &KeptFor, now: Time) -> Result<(), CommandError> {
        let unneeded_in_token = set.unneeded_in_token(kept, now);
        set.remove_ended(kept, now);
        files::replace(&self.directory, KEYS, &to_json(&set))?;
        failpoint::pass("keys_listed")?;
        let named = |e: &io::Error| CommandError::file(&self.directory, e);
        for file in fs::read_dir(&self.directory).map_err(|e| named(&e))? {
            let name = file.map_err(|e| named(&e))?.file_name();
            let name = name.to_str().unwrap_or_default();
            let is_unneeded = files::is_rotating(name) && !set.files().any(|needed| needed == name);
            if is_unneeded || files::is_part(name) {
                fs::remove_file(self.directory.join(name)).map_err(|e| named(&e))?;
            }
        }
        files::sync(&self.directory).map_err(|e| named(&e))?;
        let token = self.token.as_ref();
        unneeded_in_token.iter().try_for_each(|id| token.map_or(Ok(()), |token| token.destroy(id)))
    }

    /// Keeps other `yima keys` and backups out while the returned file is open.
    fn lock(&self) -> Result<File, CommandError> {
        let directory = File::open(&self.directory).map_err(|e| CommandError::file(&self.directory, &e))?;
        let busy = |_| CommandError::Usage("another `yima keys` or a backup reads the keys: try again".into());
        directory.try_lock().map_err(busy)?;
        Ok(directory)
    }
}
