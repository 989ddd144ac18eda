//! Encryption of a backup: the age format (<https://age-encryption.org/v1>), by secret keys or by a passphrase.
//!
//! It authenticates too: only who has the secret can make a file that it decrypts. That holds for a key because its
//! public half is known to nobody else, so that half is derived from the secret one here and never an argument.

use std::io::{self, BufRead, Cursor, ErrorKind, Read, Write};
use std::path::Path;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};

use super::format::{BackupError, MAGIC, unreadable};
use crate::cli::BackupSecret;
use crate::error::CommandError;

/// The first bytes of a file in the age format.
const AGE: &[u8; MAGIC.len()] = b"age-encr";
/// Work factor of scrypt: 256 MiB and about a second, on any machine that makes or restores a backup.
const LOG_N: u8 = 18;
/// Fewest characters of a passphrase: an attacker with the file can try passphrases without limit.
const MIN_PASSPHRASE: usize = 16;

/// What encrypts and decrypts a backup.
pub enum Secret {
    /// Any of the keys decrypts.
    Keys(Vec<x25519::Identity>),
    /// The passphrase.
    Passphrase(SecretString),
}

impl Secret {
    /// Reads the file that the command line names.
    ///
    /// # Errors
    /// The file cannot be read, or has no such content.
    pub fn read(arguments: &BackupSecret) -> Result<Self, CommandError> {
        match (&arguments.key_file, &arguments.passphrase_file) {
            (Some(path), _) => Self::keys(&text(path)?).ok_or_else(|| {
                usage(
                    "--key-file",
                    path,
                    "expected a line AGE-SECRET-KEY-1… as `age-keygen` prints it, and no other text",
                )
            }),
            (None, Some(path)) => Self::passphrase(&text(path)?).ok_or_else(|| {
                let expected = format!("expected a passphrase of at least {MIN_PASSPHRASE} characters in one line");
                usage("--passphrase-file", path, &expected)
            }),
            (None, None) => Err(CommandError::Usage("expected --key-file or --passphrase-file".into())),
        }
    }

    fn keys(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
        (!keys.is_empty()).then_some(Self::Keys(keys))
    }

    fn passphrase(text: &str) -> Option<Self> {
        let passphrase = text.trim_end_matches(['\r', '\n']);
        let is_one = !passphrase.contains('\n') && passphrase.trim().chars().count() >= MIN_PASSPHRASE;
        is_one.then(|| Self::Passphrase(passphrase.to_owned().into()))
    }

    /// Encrypts what is written. [`StreamWriter::finish`] makes it complete.
    pub fn encrypt<W: Write>(&self, out: W) -> io::Result<StreamWriter<W>> {
        let encryptor = match self {
            Self::Keys(keys) => {
                let recipients: Vec<_> = keys.iter().map(x25519::Identity::to_public).collect();
                Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn Recipient))
            }
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(LOG_N);
                Encryptor::with_recipients([&recipient as &dyn Recipient].into_iter())
            }
        };
        encryptor.map_err(io::Error::other)?.wrap_output(out)
    }

    /// Decrypts a file: what is read is authentic as far as it is read, and the end is the file's.
    ///
    /// # Errors
    /// It is no such file, or this secret does not decrypt it.
    pub fn decrypt<R: BufRead>(&self, mut input: R) -> Result<StreamReader<impl BufRead + use<R>>, BackupError> {
        let mut start = [0; MAGIC.len()];
        input.read_exact(&mut start).map_err(not_a_backup)?;
        match &start {
            MAGIC => return Err(BackupError::NotEncrypted),
            AGE => {}
            _ => return Err(BackupError::NotABackup),
        }
        let decryptor = Decryptor::new_buffered(Cursor::new(start).chain(input)).map_err(undecryptable)?;
        let decrypted = match self {
            Self::Keys(keys) => decryptor.decrypt(keys.iter().map(|key| key as &dyn Identity)),
            Self::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(LOG_N);
                decryptor.decrypt([&identity as &dyn Identity].into_iter())
            }
        };
        decrypted.map_err(undecryptable)
    }
}

fn not_a_backup(error: io::Error) -> BackupError {
    if error.kind() == ErrorKind::UnexpectedEof { BackupError::NotABackup } else { error.into() }
}

fn undecryptable(error: DecryptError) -> BackupError {
    if let DecryptError::Io(error) = error {
        return unreadable(error);
    }
    let is_damaged = matches!(error, DecryptError::InvalidHeader | DecryptError::InvalidMac);
    if is_damaged { BackupError::Damaged } else { BackupError::OtherSecret }
}

fn text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|e| CommandError::file(path, &e))
}

fn usage(option: &str, path: &Path, expected: &str) -> CommandError {
    CommandError::Usage(format!("{option} {}: {expected}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

    fn sealed(secret: &Secret, content: &[u8]) -> Vec<u8> {
        let mut writer = secret.encrypt(Vec::new()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn opened(secret: &Secret, file: &[u8]) -> Result<Vec<u8>, BackupError> {
        let mut content = Vec::new();
        secret.decrypt(file)?.read_to_end(&mut content).map_err(unreadable)?;
        Ok(content)
    }

    #[test]
    fn each_secret_opens_its_own_files_only() {
        let keys = Secret::keys(&format!("# created: now\n\n{KEY}\n")).unwrap();
        let others = Secret::Keys(vec![x25519::Identity::generate()]);
        let passphrase = Secret::passphrase("correct horse battery\r\n").unwrap();
        let file = sealed(&keys, b"content");
        assert_eq!(opened(&keys, &file).unwrap(), b"content");
        for secret in [&others, &passphrase] {
            assert!(matches!(opened(secret, &file), Err(BackupError::OtherSecret)));
        }
        let file = sealed(&passphrase, b"content");
        assert_eq!(opened(&Secret::passphrase("correct horse battery").unwrap(), &file).unwrap(), b"content");
        for secret in [&keys, &Secret::passphrase("correct horse battery staple").unwrap()] {
            assert!(matches!(opened(secret, &file), Err(BackupError::OtherSecret)));
        }
    }

    #[test]
    fn a_file_without_exactly_one_kind_of_secret_is_refused() {
        for text in ["", "# only a comment", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "x\n"] {
            assert!(Secret::keys(text).is_none(), "{text}");
        }
        for text in ["", "\n", "short", "                 \n", "two lines of text\nare not a passphrase"] {
            assert!(Secret::passphrase(text).is_none(), "{text}");
        }
    }
}
