//! The keys of a running read service: `keys.json` is watched, and each key changes its state at its time.

use std::sync::Arc;

use yima_read_api::config::ReadApiConfig;
use yima_read_api::{CurrentKeyring, Keyring};
use yima_service::clock::now;
use yima_service::watched_file::{self, Fingerprint, WatchedFiles};
use yima_store::{AuditLog, record_reload};

use super::KeyDir;
use super::files::KEYS;
use super::key_set::{KeptFor, KeyEntry, KeyKind, KeySet, KeyState};
use super::keyring::Loaded;
use crate::error::CommandError;

/// The label of `keys.json` in the audit log.
const FILE: &str = "keys";

/// Keeps a keyring as the files and the clock say.
pub struct KeyWatch {
    dir: KeyDir,
    kept: KeptFor,
    signs_codes: bool,
    /// Of the file at the start.
    fingerprint: Fingerprint<1>,
    set: KeySet,
    /// Of the keys in force.
    states: Vec<(KeyKind, String, KeyState)>,
    /// Errors of keys that could not be read.
    unreadable: Vec<String>,
    current: Arc<CurrentKeyring>,
}

impl KeyWatch {
    /// Reads the keys; waits for the file system.
    ///
    /// # Errors
    /// `keys.json` is invalid, or a key is missing without which the service cannot sign or seal.
    pub fn load(dir: KeyDir, config: &ReadApiConfig) -> Result<Self, CommandError> {
        let fingerprint = Fingerprint::new(&watched_file::read(&[dir.directory.join(KEYS)]));
        let (kept, now, signs_codes) = (KeptFor::new(config), now(), config.signs_codes);
        let set = dir.key_set(now)?;
        let Loaded { keyring, mut unreadable, is_complete } = dir.keyring(&set, &kept, signs_codes, now);
        if !is_complete {
            return Err(if unreadable.is_empty() { dir.no_active_key() } else { unreadable.swap_remove(0) });
        }
        let states = set.all_states(&kept, now);
        let current = CurrentKeyring::new(keyring);
        let mut watch = Self { dir, kept, signs_codes, fingerprint, set, states, unreadable: Vec::new(), current };
        watch.report(&unreadable);
        accepted(true);
        Ok(watch)
    }

    /// The keys in force.
    pub fn keyring(&self) -> Arc<CurrentKeyring> {
        Arc::clone(&self.current)
    }

    /// Watches for ever.
    pub async fn run(mut self, audit_log: Arc<dyn AuditLog>) {
        let mut file = WatchedFiles::new([self.dir.directory.join(KEYS)], self.fingerprint.clone());
        loop {
            let changed = file.poll().await;
            let now = now();
            if let Some([content]) = &changed {
                file.accept();
                let is_accepted = self.take(content.as_deref().map_err(ToString::to_string));
                accepted(is_accepted);
                record_reload(&*audit_log, FILE, is_accepted, now).await;
            }
            let states = self.set.all_states(&self.kept, now);
            if changed.is_none() && states == self.states && self.unreadable.is_empty() {
                continue;
            }
            let (dir, set, kept, signs_codes) = (self.dir.clone(), self.set.clone(), self.kept, self.signs_codes);
            let read = tokio::task::spawn_blocking(move || dir.keyring(&set, &kept, signs_codes, now)).await;
            let Ok(Loaded { keyring, unreadable, .. }) = read else { return }; // the runtime shuts down
            self.put_in_force(keyring, states);
            self.report(&unreadable);
        }
    }

    /// Takes a changed `keys.json`; an invalid or removed one changes nothing. Whether it was taken.
    fn take(&mut self, content: Result<&[u8], String>) -> bool {
        match content.and_then(KeySet::parse) {
            Ok(set) => {
                self.set = set;
                true
            }
            Err(error) => {
                tracing::error!(%error, "keys.json is refused; the keys stay as they were");
                false
            }
        }
    }

    fn put_in_force(&mut self, keyring: Keyring, states: Vec<(KeyKind, String, KeyState)>) {
        self.current.replace(keyring);
        for (kind, id, state) in states.iter().filter(|state| !self.states.contains(state)) {
            tracing::info!(%kind, key = id, state = state.as_str(), "a key has another state");
        }
        self.states = states;
    }

    /// Logs keys that cannot be read, once, and sets the metrics.
    fn report(&mut self, unreadable: &[CommandError]) {
        let errors: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        if errors != self.unreadable {
            for error in &errors {
                tracing::error!(%error, "a key cannot be used; the service goes on with the others and tries again");
            }
            self.unreadable = errors;
        }
        metrics::gauge!("keys_unreadable").set(self.unreadable.len() as f64);
        for kind in KeyKind::ALL {
            let active = self.set.active(kind, &self.kept, now());
            let since = active.map_or(0, |entry| entry.active_from.as_secs());
            metrics::gauge!("key_active_since_seconds", "kind" => kind.as_str()).set(since as f64);
            let number = active.and_then(KeyEntry::short_id).map_or(-1.0, f64::from);
            metrics::gauge!("key_active_number", "kind" => kind.as_str()).set(number);
        }
    }
}

fn accepted(is_accepted: bool) {
    metrics::gauge!("keys_file_accepted").set(u8::from(is_accepted));
}
