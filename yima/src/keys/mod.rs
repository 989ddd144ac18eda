//! The keys of a data directory: created at the first start; some are rotated and revoked later. Readable by their owner
//! only.

mod command;
mod files;
mod key_set;
mod keyring;
mod pkcs11;
#[cfg(test)]
mod tests;
mod watch;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand;
use yima_schema::code::{IssuerKey, VerifyingKey};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::clock::now;
use yima_service::jwt::Issuer;

use crate::error::CommandError;
use files::{IDENTITY_PROVIDER, ISSUER, KEYS, PSEUDONYM, SEAL, read, secret, sync};
use key_set::{KeyEntry, KeySet};
use pkcs11::Token;

pub use command::run;
pub use files::is_key;
pub use key_set::KeyKind;
pub use pkcs11::Pkcs11Config;
pub use watch::KeyWatch;

/// `iss` of the demo identity provider's tokens.
pub const DEMO_ISSUER: &str = "yima-demo";

/// The directory of the keys.
#[derive(Clone)]
pub struct KeyDir {
    directory: PathBuf,
    /// The pseudonym key's file, if it is elsewhere.
    pseudonym_file: Option<PathBuf>,
    /// Where new issuers' keys are made.
    token: Option<Arc<Token>>,
}

impl KeyDir {
    /// The keys of `data_dir`.
    pub fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("keys"), pseudonym_file: None, token: None }
    }

    /// The same, with the pseudonym key in a file of its own (`keys.pseudonym_file`), which is never created here.
    pub fn with_pseudonym_file(self, pseudonym_file: Option<PathBuf>) -> Self {
        Self { pseudonym_file, ..self }
    }

    /// The same, with issuers' keys in a PKCS #11 token.
    pub fn with_token(self, config: Option<Pkcs11Config>) -> Self {
        Self { token: config.map(Token::new), ..self }
    }

    /// Creates the missing keys, except the pseudonym key of an existing store: with a new one no document would find
    /// its subject. All keys are on disk at the end, also those that another process created meanwhile.
    ///
    /// # Errors
    /// The pseudonym key is missing beside an existing store, or the directory cannot be written.
    pub fn create(&self, store_exists: bool) -> Result<(), CommandError> {
        let pseudonym = self.pseudonym_path();
        if !pseudonym.exists() {
            if store_exists {
                return Err(CommandError::PseudonymKeyMissing(pseudonym));
            }
            if self.pseudonym_file.is_some() {
                return Err(CommandError::KeyMissing(pseudonym));
            }
        }
        fs::create_dir_all(&self.directory).map_err(|e| CommandError::file(&self.directory, &e))?;
        let create = |name, content: fn() -> Vec<u8>| files::create(&self.directory, name, content);
        if self.pseudonym_file.is_none() {
            create(PSEUDONYM, random_secret)?;
        }
        create(IDENTITY_PROVIDER, || Issuer::generate().expect("system random source").0)?;
        // With that file, a key that is not there was revoked or has ended, or its file is lost.
        if !self.directory.join(KEYS).exists() {
            create(SEAL, random_secret)?;
            let now = now();
            let set = if self.token.is_some() && !self.directory.join(ISSUER).exists() {
                let seal = self.first_entry("0".to_owned(), SEAL, None, now)?;
                KeySet::first(self.make(KeyKind::Issuer, &KeySet::default(), now, now)?, seal)
            } else {
                create(ISSUER, IssuerKey::generate)?;
                self.first_set(now)?
            };
            files::create(&self.directory, KEYS, || to_json(&set))?;
        }
        let parents = self.directory.ancestors().take(2);
        parents.into_iter().try_for_each(|path| sync(path).map_err(|e| CommandError::file(path, &e)))
    }

    /// The key that turns documents into subjects.
    ///
    /// # Errors
    /// The file is missing, or not 32 bytes long.
    pub fn pseudonyms(&self) -> Result<PseudonymKey, CommandError> {
        Ok(PseudonymKey::from_bytes(&secret(&self.pseudonym_path())?))
    }

    /// The keys that rotate, as of `now`.
    ///
    /// # Errors
    /// `keys.json` is invalid; or there is none, and not the one key of each kind either.
    fn key_set(&self, now: Time) -> Result<KeySet, CommandError> {
        let path = self.directory.join(KEYS);
        match read(&path) {
            Ok(json) => KeySet::parse(&json).map_err(|error| CommandError::key(&path, &error)),
            Err(CommandError::KeyMissing(_)) => self.first_set(now),
            Err(error) => Err(error),
        }
    }

    /// The keys of a directory in which none was ever rotated. They are as old as their files.
    fn first_set(&self, now: Time) -> Result<KeySet, CommandError> {
        let issuer = self.issuer(ISSUER)?.verifying_key();
        secret(&self.directory.join(SEAL))?;
        let seal = self.first_entry("0".to_owned(), SEAL, None, now)?;
        Ok(KeySet::first(self.first_entry(issuer.kid(), ISSUER, Some(&issuer), now)?, seal))
    }

    /// A key that is active and as old as its file.
    fn first_entry(
        &self,
        id: String,
        name: &str,
        public: Option<&VerifyingKey>,
        now: Time,
    ) -> Result<KeyEntry, CommandError> {
        let path = self.directory.join(name);
        let modified = fs::metadata(&path).and_then(|file| file.modified());
        let modified = modified.map_err(|e| CommandError::file(&path, &e))?;
        let created_at = now.minus(modified.elapsed().unwrap_or_default());
        let (file, public) = (Some(name.to_owned()), public.map(|key| files::to_base64(key.point())));
        Ok(KeyEntry { id, file, public, created_at, active_from: created_at, revoked_at: None })
    }

    /// A key that signs codes.
    fn issuer(&self, name: &str) -> Result<IssuerKey, CommandError> {
        let path = self.directory.join(name);
        IssuerKey::from_pkcs8(&read(&path)?).map_err(|e| CommandError::key(&path, &e))
    }

    /// The key of the demo identity provider.
    ///
    /// # Errors
    /// The file is missing or no such key.
    pub fn identity_provider(&self) -> Result<Issuer, CommandError> {
        let path = self.directory.join(IDENTITY_PROVIDER);
        Issuer::from_pkcs8(&read(&path)?, DEMO_ISSUER).map_err(|e| CommandError::key(&path, &e))
    }

    /// Holds off `yima keys` while the returned file is open.
    ///
    /// # Errors
    /// The directory cannot be locked.
    pub fn lock_shared(&self) -> io::Result<File> {
        let directory = File::open(&self.directory)?;
        directory.lock_shared()?;
        Ok(directory)
    }

    /// The paths of all keys, and of `keys.json`.
    ///
    /// # Errors
    /// The directory cannot be read; the error names it.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let read =
            || -> io::Result<Vec<PathBuf>> { fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect() };
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", self.directory.display()));
        let mut files = read().map_err(named)?;
        files.retain(|path| path.is_file() && path.file_name().and_then(OsStr::to_str).is_some_and(is_key));
        files.sort();
        Ok(files)
    }

    fn pseudonym_path(&self) -> PathBuf {
        self.pseudonym_file.clone().unwrap_or_else(|| self.directory.join(PSEUDONYM))
    }
}

/// The content of `keys.json`.
fn to_json(set: &KeySet) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(set).expect("texts and times always serialise");
    json.push(b'\n');
    json
}

fn random_secret() -> Vec<u8> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).expect("system random source");
    secret.to_vec()
}
