//! Section `store.cql.tls`: PEM files, read once at the start.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::error::Failure;

const CA_FILE: &str = "store.cql.tls.ca_file";
const CERT_FILE: &str = "store.cql.tls.cert_file";
const KEY_FILE: &str = "store.cql.tls.key_file";

/// TLS to the database's nodes, whose certificates have to name the IP addresses by which they are reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates of the authorities that sign the nodes'. No others are trusted.
    pub ca_file: PathBuf,
    /// Our own certificate, then those between it and the authority; where nodes ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read or is not what it should be; names the setting and the file.
    pub fn client(&self) -> Result<Arc<ClientConfig>, Failure> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA_FILE, &self.ca_file)? {
            roots.add(certificate).map_err(|e| unusable(CA_FILE, &self.ca_file, &e))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots);
        let client = match (&self.cert_file, &self.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert_file), Some(key_file)) => {
                let chain = certificates(CERT_FILE, cert_file)?;
                let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| unreadable(KEY_FILE, key_file, &e))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| unusable(KEY_FILE, key_file, &e))?
            }
            (Some(_), None) => return Err(Failure::setting(KEY_FILE, format!("expected with {CERT_FILE}"))),
            (None, Some(_)) => return Err(Failure::setting(CERT_FILE, format!("expected with {KEY_FILE}"))),
        };
        Ok(Arc::new(client))
    }
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|e| unreadable(setting, path, &e))?;
    if certificates.is_empty() {
        return Err(unreadable(setting, path, &pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

/// Never with what the file has in it: one of them is a private key.
fn unreadable(setting: &'static str, path: &Path, fault: &pem::Error) -> Failure {
    if let pem::Error::Io(fault) = fault {
        return unusable(setting, path, fault);
    }
    let expected = if setting == KEY_FILE { "expected a private key (PEM)" } else { "expected certificates (PEM)" };
    unusable(setting, path, &expected)
}

fn unusable(setting: &'static str, path: &Path, why: &dyn Display) -> Failure {
    Failure::setting(setting, format!("{}: {why}", path.display()))
}
