//! Files of the key directory. Each is written whole: a temporary file, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::NamedTempFile;
use yima_store::failpoint;

use crate::error::CommandError;

/// Turns documents into subjects.
pub const PSEUDONYM: &str = "pseudonym.key";
/// The first secret of handles and sessions.
pub const SEAL: &str = "seal.key";
/// The first key that signs codes.
pub const ISSUER: &str = "issuer.p8";
/// The key of the demo identity provider.
pub const IDENTITY_PROVIDER: &str = "demo-identity-provider.p8";
/// The keys that rotate, without their secrets.
pub const KEYS: &str = "keys.json";

/// The end of the name of a file that is being written.
const PART: &str = ".part";

/// Whether a file of that name in the directory is a key, or `keys.json`.
pub fn is_key(name: &str) -> bool {
    [PSEUDONYM, IDENTITY_PROVIDER, KEYS].contains(&name) || is_rotating(name)
}

/// Whether that is the name of the secret of a key that rotates.
pub fn is_rotating(name: &str) -> bool {
    let is_number = |text: &str| text.parse::<u8>().is_ok_and(|number| number.to_string() == text);
    let of = |prefix, suffix| name.strip_prefix(prefix).and_then(|rest: &str| rest.strip_suffix(suffix));
    [SEAL, ISSUER].contains(&name)
        || of("issuer-", ".p8").is_some_and(|id| from_base64(id).is_some_and(|id| id.len() == 8))
        || of("seal-", ".key").is_some_and(is_number)
        || of("session-", ".key").is_some_and(is_number)
}

/// Whether that is a file that was being written when its process was killed.
pub fn is_part(name: &str) -> bool {
    name.ends_with(PART) && !name.starts_with(PSEUDONYM)
}

/// Decodes base64url without padding.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes as base64url without padding.
pub fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Writes a file unless it exists, so that a crash leaves a complete file or none, and of processes that create the
/// same one at once all go on with the first one's.
pub fn create(directory: &Path, name: &str, content: impl FnOnce() -> Vec<u8>) -> Result<(), CommandError> {
    let path = directory.join(name);
    if path.exists() {
        return Ok(());
    }
    let create = || match part(directory, name, &content())?.persist_noclobber(&path) {
        Err(e) if e.error.kind() != ErrorKind::AlreadyExists => Err(e.error),
        Ok(_) | Err(_) => Ok(()),
    };
    create().map_err(|e| CommandError::file(&path, &e))
}

/// Writes a file, in place of an earlier one of that name; durable at the end.
pub fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), CommandError> {
    let path = directory.join(name);
    let replace = || {
        part(directory, name, content)?.persist(&path).map_err(|e| e.error)?;
        sync(directory)
    };
    replace().map_err(|e| CommandError::file(&path, &e))
}

/// A temporary file with the content, on disk, of mode 0600.
fn part(directory: &Path, name: &str, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut part = tempfile::Builder::new().prefix(name).suffix(PART).tempfile_in(directory)?;
    part.write_all(content)?;
    part.as_file().sync_all()?;
    failpoint::pass("key_written").map_err(io::Error::other)?;
    Ok(part)
}

/// A secret of 32 bytes.
pub fn secret(path: &Path) -> Result<[u8; 32], CommandError> {
    let expected = "expected 32 bytes";
    read(path)?.try_into().map_err(|_| CommandError::key(path, &expected))
}

/// The content of a key's file.
pub fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(CommandError::KeyMissing(path.to_owned())),
        read => read.map_err(|e| CommandError::file(path, &e)),
    }
}

/// Makes the names in a directory durable.
pub fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_keys_are_keys() {
        for name in ["seal.key", "issuer.p8", "seal-0.key", "session-255.key", "issuer-AAAAAAAAAAA.p8"] {
            assert!(is_key(name) && is_rotating(name), "{name}");
        }
        for name in ["seal-256.key", "seal-01.key", "seal-+1.key", "session.key", "issuer-AAAA.p8", "seal.key.old"] {
            assert!(!is_key(name), "{name}");
        }
        assert!(is_key(KEYS) && is_key(PSEUDONYM) && !is_rotating(PSEUDONYM) && !is_rotating(KEYS));
    }
}
