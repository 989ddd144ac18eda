//! The HTTP client, for other services of this system and for the identity provider. What was sent is not sent again.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower::Service;

/// Largest body that is read, in bytes.
const MAX_BODY: usize = 1 << 18;
/// Time for a connection to open.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// An idle connection is closed after this time, before the service closes it.
const IDLE: Duration = Duration::from_secs(30);
/// The connection is its sender's own: PROXY protocol, version 2, command LOCAL.
const LOCAL: &[u8; 16] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A client that keeps its connections. A clone shares them.
pub type Client = HyperClient<HttpsConnector<Tcp>, Full<Bytes>>;

/// A client that trusts what `tls` trusts.
pub fn client(tls: ClientConfig) -> Client {
    client_among_proxies(tls, false)
}

/// The same; with `among_proxies` for services that take this machine for one of their proxies, and so expect the PROXY
/// protocol.
pub fn client_among_proxies(tls: ClientConfig, among_proxies: bool) -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_WITHIN));
    let tcp = Tcp { http, among_proxies };
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    HyperClient::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

/// Opens connections.
#[derive(Clone)]
pub struct Tcp {
    http: HttpConnector,
    among_proxies: bool,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (opening, among_proxies) = (self.http.call(to), self.among_proxies);
        Box::pin(async move {
            let mut stream = opening.await?;
            if among_proxies {
                stream.inner_mut().write_all(LOCAL).await?;
            }
            Ok(stream)
        })
    }
}

/// A whole answer.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, of at most 256 KiB.
    pub body: Bytes,
}

/// Sends a request; `None` without a whole answer in time.
pub async fn send(client: &Client, request: Request<Full<Bytes>>, timeout: Duration) -> Option<Reply> {
    let exchange = async {
        let (head, body) = client.request(request).await.ok()?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.ok()?.to_bytes();
        Some(Reply { status: head.status, headers: head.headers, body })
    };
    tokio::time::timeout(timeout, exchange).await.ok()?
}

/// The body of the answer 200 to a `GET` without a token.
///
/// # Errors
/// What came instead, as the end of a sentence about the server: no whole answer in time, or another status.
pub async fn get(client: &Client, url: &str, timeout: Duration) -> Result<Bytes, String> {
    let request = Request::get(url).body(Full::default()).map_err(|_| "has no valid address".to_owned())?;
    match send(client, request, timeout).await {
        None => Err("does not answer".to_owned()),
        Some(reply) if reply.status != StatusCode::OK => Err(format!("answers {}", reply.status)),
        Some(reply) => Ok(reply.body),
    }
}
