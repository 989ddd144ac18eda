//! The accept loop: HTTP/1.1 over TCP, or over TLS. HTTP/2 is the balancer's job.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tower::Service;

use super::activity::OneByOne;
use super::error_page::{self, FirstLanguage};
use super::paced::{Pace, Paced};
use super::places::{Place, Places};
use super::proxy::{self, Proxies};
use super::{HttpLimits, Tls};
use crate::lifecycle::Lifecycle;

/// The answer to a connection over the limit, whatever its request: it is not read, so the answer is a page, which is
/// for people. Clients go by the status.
static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let page = error_page::page(503, Some(1), FirstLanguage::Chinese, "");
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nCache-Control: no-store\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    [head, page].concat().into_bytes()
});

/// Within this time a proxy names its client.
const NAMED_WITHIN: Duration = Duration::from_secs(10);

/// Serves `app` on `listener` until the soft stop; then no connection is accepted, those that wait for a request, or
/// for the rest of its head, are closed, and those that answer one are closed after it. The hard stop drops them. The
/// future ends with accepting; connections are tasks of `lifecycle`.
///
/// A connection without a place is accepted, answered 503 and closed at once: left in the backlog, its client
/// would wait for nothing. With `tls` it is closed without an answer: an answer would need a handshake, whose cost the
/// limit is there to avoid.
///
/// `app` is an [`axum::Router`] or any service of the same shape that is always ready, such as one that answers a hot
/// path before the router.
pub fn serve<S>(
    listener: TcpListener,
    tls: Option<Tls>,
    app: S,
    limits: &HttpLimits,
    lifecycle: &Lifecycle,
) -> impl Future<Output = ()> + Send + use<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let lifecycle = lifecycle.clone();
    let refused = metrics::counter!("http_connections_refused_total");
    for name in ["http_connections_displaced_total", "http_answers_cut_total"] {
        metrics::counter!(name).increment(0);
    }
    let places = Places::new(limits, lifecycle.soft().clone());
    let (pace, proxies) = (Pace::of(limits), Proxies::of(limits));
    let mut http = http1::Builder::new();
    // Up to 100 headers, hyper's default; with another number hyper fills a table of them for each request, 3 % of its
    // time.
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(limits.max_header_bytes.max(8_192));
    // Connections have the listener's size.
    if let Err(error) = SockRef::from(&listener).set_send_buffer_size(limits.send_buffer_bytes) {
        tracing::warn!(%error, "the size of send buffers could not be set; slow readers can take more memory");
    }
    if let Some(tls) = &tls {
        lifecycle.spawn_until_stop("certificate", tls.watch());
    }
    async move {
        while let Some(accepted) = lifecycle.soft().run_until_cancelled(listener.accept()).await {
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    recover(&error).await;
                    continue;
                }
            };
            let is_proxy = proxies.have(address.ip());
            let Some(place) = places.enter((!is_proxy).then(|| address.ip().into())) else {
                refused.increment(1);
                if tls.is_none() {
                    // A new socket accepts as much at once; if not, closing it is answer enough.
                    let _best_effort = stream.try_write(&FULL);
                }
                continue;
            };
            // Answers are written whole, so Nagle's algorithm would only delay them.
            let _only_slower = stream.set_nodelay(true);
            let (app, http, lifecycle) = (app.clone(), http.clone(), lifecycle.clone());
            let client = (is_proxy && proxies.name_clients).then(|| refused.clone());
            let tasks = lifecycle.tasks().clone();
            let mut stream = Paced::new(stream, pace, Arc::clone(&place.activity));
            // Two kinds of task, so that the task of a plain connection reserves no memory for TLS.
            match tls.clone() {
                None => drop(tasks.spawn(async move {
                    if let Some(refused) = client
                        && !Box::pin(has_client(&mut stream, &place, refused)).await
                    {
                        return;
                    }
                    connection(stream, app, http, place, lifecycle).await;
                })),
                Some(tls) => drop(tasks.spawn(async move {
                    if let Some(refused) = client
                        && !Box::pin(has_client(&mut stream, &place, refused)).await
                    {
                        return;
                    }
                    if let Some(Some(stream)) = place.stop.run_until_cancelled(tls.accept(stream)).await {
                        connection(stream, tls.around(app), http, place, lifecycle).await;
                    }
                })),
            }
        }
    }
}

/// Reads the client's address from its proxy, and counts the connection as the client's. `false`: it is to be closed.
async fn has_client(stream: &mut Paced, place: &Place, refused: metrics::Counter) -> bool {
    let named = tokio::time::timeout(NAMED_WITHIN, proxy::client(stream));
    let fits = match place.stop.run_until_cancelled(named).await {
        Some(Ok(Ok(Some(client)))) => place.belongs_to(client.into()),
        Some(Ok(Ok(None))) => true,
        Some(Ok(Err(_)) | Err(_)) => false,
        None => return false,
    };
    if !fits {
        refused.increment(1);
    }
    fits
}

async fn connection<I, S>(stream: I, app: S, http: http1::Builder, place: Place, lifecycle: Lifecycle)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let activity = &place.activity;
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), OneByOne::new(app, activity)));
    // How a connection ends (reset, too slow, not HTTP) needs no handling: hyper has answered where it could.
    tokio::select! {
        biased;
        _ended = connection.as_mut() => return,
        () = place.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // hyper closes a connection between two requests, but waits for the rest of a head of which it has a part.
    let has_ended = connection.as_mut().now_or_never().is_some();
    if !has_ended && activity.waiting_since().is_none() {
        let _ended = lifecycle.hard().run_until_cancelled(connection).await;
    }
}

/// Waits when accepting fails for want of file descriptors or memory; a client that has left needs no wait.
async fn recover(error: &std::io::Error) {
    use std::io::ErrorKind;
    let gone = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "a connection could not be accepted; accepting goes on in 100 ms");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
