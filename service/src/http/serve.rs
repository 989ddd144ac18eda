//! The accept loop: HTTP/1.1 over TCP, or over TLS. HTTP/2 is the balancer's job.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use socket2::SockRef;
use tokio::net::TcpListener;
use tower::Service;

use super::arrivals::Arrivals;
use super::connection::{self, Protocol};
use super::direct::Direct;
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
/// Connections that the system keeps until they are accepted (tokio's `TcpListener::bind`).
const BACKLOG: u32 = 1_024;
/// How long hyper waits for the next request after one with a body: a busy checkpoint scans again.
const LINGER: Duration = Duration::from_secs(1);

/// Serves `app` on `listener` until the soft stop; then no connection is accepted, those that wait for a request, or
/// for the rest of its head, are closed, and those that answer one are closed after it. The hard stop drops them. The
/// future ends with accepting; connections are tasks of `lifecycle`.
///
/// A connection without a place, or one too many of those that wait for their first turn, is accepted, answered 503 and
/// closed at once: left in the backlog, its client would wait for nothing. With `tls` it is closed without an answer: an answer would need a handshake, whose cost the
/// limit is there to avoid.
///
/// `app` is an [`axum::Router`] or any service of the same shape that is always ready, such as one that answers a hot
/// path before the router.
///
/// `direct` answers its requests before hyper sees them.
pub fn serve<S>(
    listener: TcpListener,
    tls: Option<Tls>,
    app: S,
    direct: Option<Arc<dyn Direct>>,
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
    let arrivals = Arrivals::new(limits.max_connections.get());
    let places = Places::new(limits, lifecycle.soft().clone());
    let (pace, proxies) = (Pace::of(limits), Proxies::of(limits));
    let mut http = http1::Builder::new();
    // Up to 100 headers, hyper's default; with another number hyper fills a table of them for each request, 3 % of its
    // time.
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(limits.max_header_bytes.max(8_192));
    let hsts = tls.as_ref().and_then(|tls| tls.hsts().clone());
    let protocol = Arc::new(Protocol { http, direct, hsts, idle: limits.header_read_timeout, linger: LINGER });
    // Connections have the listener's size.
    if let Err(error) = SockRef::from(&listener).set_send_buffer_size(limits.send_buffer_bytes) {
        tracing::warn!(%error, "the size of send buffers could not be set; slow readers can take more memory");
    }
    if let Some(tls) = &tls {
        lifecycle.spawn_until_stop("certificate", tls.watch());
    }
    async move {
        let mut without_pause = 0_u32;
        loop {
            // Outside tokio's budget: those to be refused are refused now, not one budget of them in each round.
            let accept = tokio::task::unconstrained(async {
                arrivals.ready().await;
                listener.accept().await
            });
            let Some(accepted) = lifecycle.soft().run_until_cancelled(accept).await else { return };
            without_pause += 1;
            if without_pause.is_multiple_of(BACKLOG) {
                tokio::task::yield_now().await;
            }
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    recover(&error).await;
                    continue;
                }
            };
            let is_proxy = proxies.have(address.ip());
            let peer = (!is_proxy).then(|| address.ip().into());
            let entered = arrivals.enter().and_then(|arrival| Some((arrival, places.enter(peer)?)));
            let Some((arrival, place)) = entered else {
                refused.increment(1);
                if tls.is_none() {
                    // A new socket accepts as much at once; if not, closing it is answer enough.
                    let _best_effort = stream.try_write(&FULL);
                }
                continue;
            };
            // Answers are written whole, so Nagle's algorithm would only delay them.
            let _only_slower = stream.set_nodelay(true);
            let (app, protocol, lifecycle) = (app.clone(), Arc::clone(&protocol), lifecycle.clone());
            let client = (is_proxy && proxies.name_clients).then(|| refused.clone());
            let tasks = lifecycle.tasks().clone();
            let mut stream = Paced::new(stream, pace, Arc::clone(&place.activity));
            // Two kinds of task, so that the task of a plain connection reserves no memory for TLS.
            match tls.clone() {
                None => drop(tasks.spawn(async move {
                    drop(arrival);
                    if let Some(refused) = client
                        && !Box::pin(has_client(&mut stream, &place, refused)).await
                    {
                        return;
                    }
                    connection::serve(stream, app, protocol, place, lifecycle).await;
                })),
                Some(tls) => drop(tasks.spawn(async move {
                    drop(arrival);
                    if let Some(refused) = client
                        && !Box::pin(has_client(&mut stream, &place, refused)).await
                    {
                        return;
                    }
                    if let Some(Some(stream)) = place.stop.run_until_cancelled(tls.accept(stream)).await {
                        connection::serve(stream, tls.around(app), protocol, place, lifecycle).await;
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

/// Waits when accepting fails for want of file descriptors or memory; a client that has left needs no wait.
async fn recover(error: &std::io::Error) {
    use std::io::ErrorKind;
    let gone = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "a connection could not be accepted; accepting goes on in 100 ms");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
