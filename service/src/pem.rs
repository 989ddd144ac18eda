//! PEM files: certificates and private keys. Errors never quote a file's text, since it may be a private key.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file's content when it was read, or the error of reading it.
pub struct PemFile {
    path: PathBuf,
    text: io::Result<Vec<u8>>,
}

/// A PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct PemError {
    path: PathBuf,
    why: String,
}

impl PemFile {
    /// Reads it.
    pub fn read(path: &Path) -> Self {
        Self::new(path, std::fs::read(path))
    }

    /// A file that was read before.
    pub(crate) fn new(path: &Path, text: io::Result<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), text }
    }

    /// The certificates in it, at least one.
    ///
    /// # Errors
    /// It cannot be read, or has none.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.text()?).collect();
        read.ok().filter(|some| !some.is_empty()).ok_or_else(|| self.fault("expected certificates (PEM)"))
    }

    /// The first private key in it.
    ///
    /// # Errors
    /// It cannot be read, or has none.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        PrivateKeyDer::from_pem_slice(self.text()?).map_err(|_| self.fault("expected a private key (PEM)"))
    }

    /// An error of this file.
    pub fn fault(&self, why: impl Display) -> PemError {
        PemError { path: self.path.clone(), why: why.to_string() }
    }

    fn text(&self) -> Result<&[u8], PemError> {
        self.text.as_deref().map_err(|fault| self.fault(fault))
    }
}
