//! Certificates for the public ports, and a connection that trusts one of them alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::{Options, Reply};

/// Since 1970.
const Y2020: Duration = Duration::from_secs(1_577_836_800);

/// Certificate and key of a port, as files.
#[derive(Clone)]
pub struct CertificateFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Makes a certificate for 127.0.0.1, valid from 2020 to the end of `last_year`.
    ///
    /// # Panics
    /// When the directory cannot be written.
    pub fn make(directory: &Path, last_year: i32) -> Self {
        let files = Self { cert: directory.join("tls-cert.pem"), key: directory.join("tls-key.pem") };
        files.replace(last_year);
        files
    }

    /// Replaces the files by a new certificate and key.
    ///
    /// # Panics
    /// When the directory cannot be written.
    pub fn replace(&self, last_year: i32) {
        self.replace_from(Y2020, last_year);
    }

    /// Replaces the files by a certificate that becomes valid after `wait`.
    ///
    /// # Panics
    /// When the directory cannot be written.
    pub fn replace_in(&self, wait: Duration, last_year: i32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        self.replace_from(now + wait, last_year);
    }

    fn replace_from(&self, valid_from: Duration, last_year: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address can be certified");
        params.not_before = date_time_ymd(1970, 1, 1) + valid_from;
        params.not_after = date_time_ymd(last_year, 12, 31);
        let cert = params.self_signed(&key).expect("a certificate");
        fs::write(&self.cert, cert.pem()).expect("the directory can be written");
        fs::write(&self.key, key.serialize_pem()).expect("the directory can be written");
    }

    /// Sets these files for both public ports.
    pub fn apply_to(&self, mut options: Options) -> Options {
        for section in ["READ_API", "WRITER"] {
            options = options
                .env(&format!("YIMA_{section}__TLS__CERT_FILE"), self.cert.display())
                .env(&format!("YIMA_{section}__TLS__KEY_FILE"), self.key.display());
        }
        options
    }

    /// The certificate that the file has now.
    ///
    /// # Panics
    /// When the file has none.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).expect("a certificate")
    }

    /// The configuration of a client that trusts the present certificate alone.
    ///
    /// # Panics
    /// When the certificate cannot be parsed.
    pub fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        Arc::new(trusting(self.certificate(), protocols, ALL_VERSIONS))
    }

    /// The same for one version, without ALPN.
    ///
    /// # Panics
    /// As [`Self::client`].
    pub fn client_of(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        Arc::new(trusting(self.certificate(), &[], &[version]))
    }
}

fn trusting(
    certificate: CertificateDer<'static>,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| versions.contains(&suite.version()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("the provider has what TLS needs")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A connection over TLS, for one request after another.
pub struct TlsConnection(StreamOwned<ClientConnection, TcpStream>);

impl TlsConnection {
    /// Connects to an instance's URL and trusts this certificate alone. Offers `protocols`, if any (ALPN).
    ///
    /// # Errors
    /// The handshake fails.
    ///
    /// # Panics
    /// When the certificate cannot be parsed, or the connection is refused.
    pub fn connect(url: &str, trusted: &CertificateDer<'static>, protocols: &[&str]) -> io::Result<Self> {
        Self::connect_as(&Arc::new(trusting(trusted.clone(), protocols, ALL_VERSIONS)), url)
    }

    /// Connects to an instance's URL as this client, which remembers its sessions.
    ///
    /// # Errors
    /// The handshake fails.
    ///
    /// # Panics
    /// When the connection is refused.
    pub fn connect_as(client: &Arc<ClientConfig>, url: &str) -> io::Result<Self> {
        let address = url.rsplit('/').next().unwrap_or_default();
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let client = ClientConnection::new(client.clone(), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// Whether a session of before was resumed.
    pub fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol that the server chose (ALPN).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Panics
    /// When no whole answer arrives.
    pub fn request(&mut self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        let (length, json) = (body.len(), "Content-Type: application/json");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{json}\r\n");
        write!(self.0, "{head}Content-Length: {length}\r\n\r\n{body}").expect("the connection accepts the request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("a head in ASCII");
        let (status, fields) = head.split_once("\r\n").expect("a status line");
        let fields = fields.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| {
            (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
        });
        let headers: HeaderMap = fields.collect();
        let length = headers["content-length"].to_str().ok().and_then(|text| text.parse().ok()).expect("a length");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole body");
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Reply { status, headers, body }
    }
}
