//! TLS of a public port: HTTP/1.1 inside TLS 1.2 or 1.3, with a certificate that can be replaced while the port serves.

mod certificate;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::response::Response;
use pin_project_lite::pin_project;
use rustls::server::{Acceptor, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ServerConfig, SupportedProtocolVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::paced::Paced;
use crate::config;
use crate::pem::PemError;
use certificate::Certificate;
use yima_schema::time::Time;

/// The first byte of a client that speaks TLS: a record of type handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
/// The answer to a client that speaks plain HTTP.
const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: 42\r\n\
    Connection: close\r\n\r\nThis port speaks TLS: ask it by https://.\n";

/// Without this section a port speaks plain HTTP. With it: TLS 1.2 or 1.3, HTTP/1.1 only (ALPN `http/1.1`).
///
/// The files are read every 2 s; files that have changed, and are the same in two reads, are used for connections made
/// from then on ([replacing a certificate](operations/install.md#certificates)). Files that cannot be used refuse a
/// start, naming the setting. A client that speaks plain HTTP to such a port gets a 400 that says so.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct TlsConfig {
    /// The certificate, then those between it and the authority (PEM).
    pub cert_file: PathBuf,
    /// The certificate's private key (PEM: PKCS #8, PKCS #1 or SEC1, without a passphrase).
    pub key_file: PathBuf,
    /// From accepting a connection to the end of its handshake. Meanwhile the connection counts among
    /// `max_connections`.
    #[serde(rename = "handshake_timeout_ms", with = "config::Ms", default = "handshake_timeout")]
    pub handshake_timeout: Duration,
    /// `max-age` of the `Strict-Transport-Security` on each answer; 0 does not send it. The header binds the whole host
    /// name, on every port, and browsers keep it: it cannot be taken back. Set it when no port of that name speaks
    /// plain HTTP any more.
    #[serde(default)]
    pub hsts_s: u32,
}

fn handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

/// A file that cannot be used, by the setting that names it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates.
    #[error("cert_file: {0}")]
    Certificate(PemError),
    /// The key; also a key of another certificate.
    #[error("key_file: {0}")]
    Key(PemError),
}

/// TLS of one port.
#[derive(Clone)]
pub struct Tls {
    service: &'static str,
    /// Of clients that speak TLS 1.3.
    newest: Arc<ServerConfig>,
    /// Of the others. What is in a ticket of TLS 1.2 opens the recorded connection (RFC 9325 section 3.4), so its
    /// tickets are of this process alone, which throws their keys away after 12 h.
    tls12: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
    handshake_timeout: Duration,
    hsts: Option<HeaderValue>,
}

impl Tls {
    /// Reads the files. `service` is the port's label in metrics.
    ///
    /// # Errors
    /// The files cannot be used, or not together.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn load(service: &'static str, config: &TlsConfig) -> Result<Self, TlsError> {
        let certificate = Certificate::load(service, config)?;
        // max-age=0 would make browsers forget an earlier one.
        let hsts = (config.hsts_s > 0).then(|| format!("max-age={}", config.hsts_s));
        Ok(Self {
            service,
            newest: Arc::new(server(&certificate, &[&TLS13, &TLS12])),
            tls12: Arc::new(server(&certificate, &[&TLS12])),
            certificate,
            handshake_timeout: config.handshake_timeout,
            hsts: hsts.and_then(|text| HeaderValue::try_from(text).ok()),
        })
    }

    /// The same with tickets that others make and open too, for clients that speak TLS 1.3.
    pub fn with_tickets(mut self, tickets: Arc<dyn ProducesTickets>) -> Self {
        Arc::make_mut(&mut self.newest).ticketer = tickets;
        self
    }

    /// Until when the certificates in use are valid: the first of the chain to end.
    pub fn valid_until(&self) -> Time {
        self.certificate.valid_until()
    }

    /// Watches the files; never ends.
    pub(super) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        self.certificate.clone().watch()
    }

    /// Does the handshake; `None` if it failed.
    pub(super) async fn accept(&self, stream: Paced) -> Option<TlsStream<Paced>> {
        let (stream, outcome) = match tokio::time::timeout(self.handshake_timeout, self.handshake(stream)).await {
            Ok(Ok(stream)) => (Some(stream), "done"),
            Ok(Err(_)) => (None, "failed"),
            Err(_) => (None, "timed_out"),
        };
        metrics::counter!("tls_handshakes_total", "service" => self.service, "outcome" => outcome).increment(1);
        stream
    }

    async fn handshake(&self, stream: Paced) -> io::Result<TlsStream<Paced>> {
        let mut first = [0];
        let socket = stream.socket();
        if socket.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            // Closing a connection with unread data makes the system drop the written data.
            let _request = socket.try_read(&mut [0; 8_192]);
            socket.try_write(PLAIN)?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let speaks_newest = hello.client_hello().cipher_suites().iter().any(is_of_tls13);
        let config = if speaks_newest { &self.newest } else { &self.tls12 };
        hello.into_stream(config.clone()).await
    }

    /// `Strict-Transport-Security` on answers, if that is set.
    pub(super) fn hsts(&self) -> &Option<HeaderValue> {
        &self.hsts
    }

    /// `app`, with `Strict-Transport-Security` on its answers.
    pub(super) fn around<S>(&self, app: S) -> StrictTransport<S> {
        StrictTransport { app, hsts: self.hsts.clone() }
    }
}

/// A server of these versions, with tickets of its own.
fn server(certificate: &Arc<Certificate>, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let mut server = ServerConfig::builder_with_provider(Arc::new(certificate::provider()))
        .with_protocol_versions(versions)
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_no_client_auth()
        .with_cert_resolver(certificate.clone());
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Phones reconnect often: a ticket saves both sides the signature, and this side from storing sessions.
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().expect("system random source");
    server
}

/// RFC 8446 appendix B.4.
fn is_of_tls13(suite: &CipherSuite) -> bool {
    u16::from(*suite) >> 8 == 0x13
}

/// A service whose answers have `Strict-Transport-Security`, if that is set.
#[derive(Clone)]
pub(super) struct StrictTransport<S> {
    app: S,
    hsts: Option<HeaderValue>,
}

impl<R, S: Service<R, Response = Response, Error = Infallible>> Service<R> for StrictTransport<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = StrictTransportFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        StrictTransportFuture { answer: self.app.call(request), hsts: self.hsts.clone() }
    }
}

pin_project! {
    /// The answer of a [`StrictTransport`].
    pub(super) struct StrictTransportFuture<F> {
        #[pin]
        answer: F,
        hsts: Option<HeaderValue>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for StrictTransportFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut answer) = ready!(this.answer.poll(cx));
        if let Some(hsts) = this.hsts.take() {
            answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
        Poll::Ready(Ok(answer))
    }
}
