//! Section `store.cql.tls`: PEM files, read once at the start.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use yima_service::pem::PemFile;

use crate::error::CommandError;

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
    pub fn client(&self) -> Result<Arc<ClientConfig>, CommandError> {
        let mut roots = RootCertStore::empty();
        let ca = PemFile::read(&self.ca_file);
        for certificate in ca.certificates().map_err(|e| unusable(CA_FILE, &e))? {
            roots.add(certificate).map_err(|e| unusable(CA_FILE, &ca.fault(e)))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots);
        let client = match (&self.cert_file, &self.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert_file), Some(key_file)) => {
                let chain = PemFile::read(cert_file).certificates().map_err(|e| unusable(CERT_FILE, &e))?;
                let key_file = PemFile::read(key_file);
                let key = key_file.private_key().map_err(|e| unusable(KEY_FILE, &e))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| unusable(KEY_FILE, &key_file.fault(e)))?
            }
            (Some(_), None) => return Err(CommandError::setting(KEY_FILE, format!("expected with {CERT_FILE}"))),
            (None, Some(_)) => return Err(CommandError::setting(CERT_FILE, format!("expected with {KEY_FILE}"))),
        };
        Ok(Arc::new(client))
    }
}

fn unusable(setting: &'static str, fault: &dyn Display) -> CommandError {
    CommandError::setting(setting, fault.to_string())
}
