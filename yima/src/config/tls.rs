//! Section `store.cql.tls`, and which servers a client trusts: PEM files, read once at the start.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_service::config::{self, Checks};
use yima_service::pem::PemFile;

use crate::error::CommandError;

const CA_FILE: &str = "store.cql.tls.ca_file";
const CERT_FILE: &str = "store.cql.tls.cert_file";
const KEY_FILE: &str = "store.cql.tls.key_file";

/// TLS to the database's nodes. Without this section connections are not encrypted. PEM files, read at start. The
/// nodes' certificates must name the IP addresses by which they are reached.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct TlsConfig {
    /// Certificates of the authorities that sign the nodes' certificates. No other authority is trusted.
    pub ca_file: PathBuf,
    /// Certificate of this process, then those between it and the authority, for nodes that ask for one; with
    /// `key_file` or not at all.
    pub cert_file: Option<PathBuf>,
    /// Private key of `cert_file`.
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or has another content; names the setting and the file.
    pub fn client(&self) -> Result<Arc<ClientConfig>, CommandError> {
        let builder = trusting(Some(&self.ca_file), CA_FILE)?;
        let client = match (&self.cert_file, &self.key_file) {
            // `check` has refused one without the other.
            (None, _) | (_, None) => builder.with_no_client_auth(),
            (Some(cert_file), Some(key_file)) => {
                let chain = PemFile::read(cert_file).certificates().map_err(|e| unusable(CERT_FILE, &e))?;
                let key_file = PemFile::read(key_file);
                let key = key_file.private_key().map_err(|e| unusable(KEY_FILE, &e))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| unusable(KEY_FILE, &key_file.fault(e)))?
            }
        };
        Ok(Arc::new(client))
    }

    /// Checks that certificate and key come together.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        let (has_cert, has_key) = (self.cert_file.is_some(), self.key_file.is_some());
        checks.expect(has_key || !has_cert, KEY_FILE, &[CERT_FILE], format!("expected with {CERT_FILE}"));
        checks.expect(has_cert || !has_key, CERT_FILE, &[KEY_FILE], format!("expected with {KEY_FILE}"));
    }
}

/// A client of servers whose certificates the authorities of that file sign; without a file it trusts none.
///
/// # Errors
/// The file cannot be read or has another content.
pub fn trusting(
    ca_file: Option<&Path>,
    setting: &'static str,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, CommandError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca_file) = ca_file {
        let ca = PemFile::read(ca_file);
        for certificate in ca.certificates().map_err(|e| unusable(setting, &e))? {
            roots.add(certificate).map_err(|e| unusable(setting, &ca.fault(e)))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need");
    Ok(builder.with_root_certificates(roots))
}

fn unusable(setting: &'static str, error: &dyn Display) -> CommandError {
    CommandError::setting(setting, error.to_string())
}
