//! The keys of a data directory: created at the first start, then only read; readable by their owner only.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use yima_schema::code::IssuerKey;
use yima_schema::subject::PseudonymKey;
use yima_service::jwt::Issuer;
use yima_store::failpoint;

use crate::error::CommandError;

const PSEUDONYM: &str = "pseudonym.key";
const SEAL: &str = "seal.key";
const ISSUER: &str = "issuer.p8";
const IDENTITY_PROVIDER: &str = "demo-identity-provider.p8";

/// `iss` of the demo identity provider's tokens.
pub const DEMO_ISSUER: &str = "yima-demo";

/// Whether a file of that name in the directory is a key.
pub fn is_key(name: &str) -> bool {
    [PSEUDONYM, SEAL, ISSUER, IDENTITY_PROVIDER].contains(&name)
}

/// The directory of the keys.
pub struct KeyDir {
    directory: PathBuf,
    /// The pseudonym key's file, if it is elsewhere.
    pseudonym_file: Option<PathBuf>,
}

impl KeyDir {
    /// The keys of `data_dir`.
    pub fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("keys"), pseudonym_file: None }
    }

    /// The same, with the pseudonym key in a file of its own (`keys.pseudonym_file`), which is never created here.
    pub fn with_pseudonym_file(self, pseudonym_file: Option<PathBuf>) -> Self {
        Self { pseudonym_file, ..self }
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
        let secrets = if self.pseudonym_file.is_some() { &[SEAL][..] } else { &[PSEUDONYM, SEAL] };
        for name in secrets {
            self.create_file(name, || {
                let mut secret = [0; 32];
                rand::fill(&mut secret).expect("system random source");
                secret.to_vec()
            })?;
        }
        self.create_file(ISSUER, IssuerKey::generate)?;
        self.create_file(IDENTITY_PROVIDER, || Issuer::generate().expect("system random source").0)?;
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

    /// The secret from which the seal keys of sessions, handles and entity tags are derived.
    ///
    /// # Errors
    /// The file is missing, or not 32 bytes long.
    pub fn seal(&self) -> Result<[u8; 32], CommandError> {
        secret(&self.directory.join(SEAL))
    }

    /// The key that signs codes.
    ///
    /// # Errors
    /// The file is missing or no such key.
    pub fn issuer(&self) -> Result<IssuerKey, CommandError> {
        IssuerKey::from_pkcs8(&read(&self.directory.join(ISSUER))?)
            .map_err(|e| CommandError::key(&self.directory.join(ISSUER), &e))
    }

    /// The key of the demo identity provider.
    ///
    /// # Errors
    /// The file is missing or no such key.
    pub fn identity_provider(&self) -> Result<Issuer, CommandError> {
        let path = self.directory.join(IDENTITY_PROVIDER);
        Issuer::from_pkcs8(&read(&path)?, DEMO_ISSUER).map_err(|e| CommandError::key(&path, &e))
    }

    /// The paths of all keys.
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

    /// Writes a temporary file of its own and renames it unless the key exists, so that a crash leaves a complete key
    /// or none, and of processes that create the same key at once all go on with the first one's.
    fn create_file(&self, name: &str, content: impl FnOnce() -> Vec<u8>) -> Result<(), CommandError> {
        let path = self.directory.join(name);
        if path.exists() {
            return Ok(());
        }
        let create = || -> io::Result<()> {
            // Mode 0600.
            let mut part = tempfile::Builder::new().prefix(name).suffix(".part").tempfile_in(&self.directory)?;
            part.write_all(&content())?;
            part.as_file().sync_all()?;
            failpoint::pass("key_written").map_err(io::Error::other)?;
            match part.persist_noclobber(&path) {
                Err(e) if e.error.kind() != ErrorKind::AlreadyExists => Err(e.error),
                Ok(_) | Err(_) => Ok(()),
            }
        };
        create().map_err(|e| CommandError::file(&path, &e))
    }
}

fn secret(path: &Path) -> Result<[u8; 32], CommandError> {
    let expected = "expected 32 bytes";
    read(path)?.try_into().map_err(|_| CommandError::key(path, &expected))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(CommandError::KeyMissing(path.to_owned())),
        read => read.map_err(|e| CommandError::file(path, &e)),
    }
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_key_elsewhere_is_read_and_never_created() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere.key");
        let keys = || KeyDir::of(dir.path()).with_pseudonym_file(Some(elsewhere.clone()));
        assert!(matches!(keys().create(false), Err(CommandError::KeyMissing(path)) if path == elsewhere));
        fs::write(&elsewhere, [7; 32]).unwrap();
        keys().create(false).unwrap();
        assert!(!dir.path().join("keys/pseudonym.key").exists());
        let fingerprint = keys().pseudonyms().unwrap().fingerprint();
        assert_eq!(fingerprint, PseudonymKey::from_bytes(&[7; 32]).fingerprint());
        fs::remove_file(&elsewhere).unwrap();
        assert!(matches!(keys().create(true), Err(CommandError::PseudonymKeyMissing(path)) if path == elsewhere));
    }

    #[test]
    fn keys_are_created_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyDir::of(dir.path());
        keys.create(false).unwrap();
        let fingerprint = keys.pseudonyms().unwrap().fingerprint();
        keys.create(true).unwrap();
        assert_eq!(keys.pseudonyms().unwrap().fingerprint(), fingerprint);
        keys.issuer().unwrap();
        keys.identity_provider().unwrap();
        for file in fs::read_dir(dir.path().join("keys")).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn keys_created_at_once_are_the_same_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let fingerprints: Vec<_> = std::thread::scope(|scope| {
            let create = || {
                let keys = KeyDir::of(dir.path());
                keys.create(false).unwrap();
                keys.pseudonyms().unwrap().fingerprint()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]));
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 4, "temporary files are left");
    }

    #[test]
    fn a_lost_pseudonym_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyDir::of(dir.path());
        assert!(matches!(keys.create(true), Err(CommandError::PseudonymKeyMissing(_))));
        keys.create(false).unwrap();
        fs::write(dir.path().join("keys").join(PSEUDONYM), b"short").unwrap();
        assert!(matches!(keys.pseudonyms(), Err(CommandError::Key { .. })));
    }
}
