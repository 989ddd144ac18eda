//! A connection: requests of the known shape are answered from the bytes of the socket; for any other hyper is made,
//! and taken apart once it has answered. So a connection between two requests has no buffers. After a request with a
//! body, hyper stays for a second: scans come one after the other, and making it costs as much as a display.
//!
//! hyper's reading, writing and timers were nearly half of a display's instructions (`docs/caching.md`), and its buffers
//! most of the memory of a connection that waits.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tower::Service;

use super::activity::{Activity, OneByOne};
use super::direct::{Answer, Direct};
use super::known::Known;
use super::places::Place;
use crate::lifecycle::Lifecycle;

/// Bytes of a request that is answered without hyper.
const READ: usize = 4_096;

/// How the connections of a port are served.
pub(super) struct Protocol {
    /// hyper, with its limits.
    pub http: http1::Builder,
    /// Answers without hyper; `None`: there are none.
    pub direct: Option<Arc<dyn Direct>>,
    /// `Strict-Transport-Security` on these.
    pub hsts: Option<HeaderValue>,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long hyper waits for the next request after one with a body.
    pub linger: Duration,
}

/// Serves a connection to its end.
pub(super) async fn serve<I, S>(mut stream: I, app: S, protocol: Arc<Protocol>, place: Place, lifecycle: Lifecycle)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let (activity, mut stop) = (&place.activity, pin!(place.stop.cancelled()));
    let mut service = OneByOne::new(app, activity);
    let mut timer = IdleTimer::default();
    let mut unread = Bytes::new();
    loop {
        if let Some(direct) = &protocol.direct {
            let direct = Directly { direct: &**direct, hsts: &protocol.hsts, activity };
            let wait = Wait { token: &place.stop, stop: stop.as_mut(), timer: &mut timer, idle: protocol.idle };
            match direct.answer_all(&mut stream, unread, wait).await {
                Some(request) => unread = request,
                None => return,
            }
        }
        let io = TokioIo::new(Rewound { unread, stream });
        let mut connection = Box::new(protocol.http.serve_connection(io, service));
        let (before, mut linger) = (activity.request(), IdleTimer::default());
        let left = std::future::poll_fn(|cx| {
            // How a connection ends (reset, too slow, not HTTP) needs no handling: hyper has answered where it could.
            if connection.poll_unpin(cx).is_ready() {
                return Poll::Ready(Left::Ended);
            }
            if protocol.direct.is_some() && activity.is_between_requests(before) {
                let lingers = activity.had_body() && activity.waited() < protocol.linger;
                if !lingers || linger.poll(activity, protocol.linger, stop.as_mut(), cx).is_ready() {
                    return Poll::Ready(Left::BetweenRequests);
                }
            }
            stop.as_mut().poll(cx).map(|()| Left::Stopped)
        });
        match left.await {
            Left::Ended => return,
            Left::BetweenRequests => {
                let parts = connection.into_parts();
                let rewound = parts.io.into_inner();
                unread = if rewound.unread.is_empty() {
                    parts.read_buf
                } else {
                    [parts.read_buf, rewound.unread].concat().into()
                };
                (stream, service) = (rewound.stream, parts.service);
            }
            Left::Stopped => {
                Pin::new(&mut *connection).graceful_shutdown();
                // hyper closes a connection between two requests, but waits for the rest of a head of which it has a
                // part.
                let has_ended = connection.as_mut().now_or_never().is_some();
                if !has_ended && activity.waiting_since().is_none() {
                    let _ended = lifecycle.hard().run_until_cancelled(connection).await;
                }
                return;
            }
        }
    }
}

/// Why hyper's part of a connection is over.
enum Left {
    Ended,
    BetweenRequests,
    Stopped,
}

/// Answers without hyper.
struct Directly<'c> {
    direct: &'c dyn Direct,
    hsts: &'c Option<HeaderValue>,
    activity: &'c Activity,
}

/// What ends a connection between two requests.
struct Wait<'c, 's> {
    token: &'c CancellationToken,
    stop: Pin<&'c mut WaitForCancellationFuture<'s>>,
    timer: &'c mut IdleTimer,
    idle: Duration,
}

impl Directly<'_> {
    /// Answers requests until one is for hyper: its bytes so far. `None`: the connection is over.
    async fn answer_all<I: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut I,
        mut unread: Bytes,
        mut wait: Wait<'_, '_>,
    ) -> Option<Bytes> {
        let mut unsent = Unsent::default();
        std::future::poll_fn(|cx| {
            loop {
                if ready!(unsent.poll_send(stream, cx)).is_err() {
                    return Poll::Ready(None);
                }
                if unsent.is_new() {
                    unsent = Unsent::default();
                    self.activity.answered();
                }
                if !unread.is_empty() {
                    match self.answer(&unread) {
                        Some(answer) => unsent.bytes = answer,
                        None => return Poll::Ready(Some(std::mem::take(&mut unread))),
                    }
                    unread = Bytes::new();
                    continue;
                }
                let mut space = [MaybeUninit::uninit(); READ];
                let mut read = ReadBuf::uninit(&mut space);
                match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                    Poll::Ready(Ok(())) if !read.filled().is_empty() => match self.answer(read.filled()) {
                        Some(answer) => unsent.bytes = answer,
                        None => return Poll::Ready(Some(Bytes::copy_from_slice(read.filled()))),
                    },
                    // The client has closed it, or it is broken.
                    Poll::Ready(_) => return Poll::Ready(None),
                    Poll::Pending => return wait.poll(self.activity, cx).map(|()| None),
                }
            }
        })
        .await
    }

    /// The answer to a request of the known shape; `None`: it is for hyper.
    fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let known = Known::read(request)?;
        let mut answer = Answer::new(self.hsts.clone());
        self.direct.answer(&known, &mut answer).then(|| {
            self.activity.requested();
            answer.into_bytes()
        })
    }
}

/// The rest of an answer that the socket did not take at once.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

impl Unsent {
    /// Ready when everything is sent.
    fn poll_send<I: AsyncWrite + Unpin>(&mut self, stream: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        if self.is_new() { Pin::new(stream).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Whether there was an answer.
    fn is_new(&self) -> bool {
        !self.bytes.is_empty()
    }
}

impl Wait<'_, '_> {
    /// Ready when the wait for a request is over: by a stop, or because it took too long.
    fn poll(&mut self, activity: &Activity, cx: &mut Context<'_>) -> Poll<()> {
        if self.token.is_cancelled() {
            return Poll::Ready(());
        }
        self.timer.poll(activity, self.idle, self.stop.as_mut(), cx)
    }
}

/// The time of waiting for a request. One timer a connection, set again only when it fires: most connections are asked
/// again long before.
#[derive(Default)]
struct IdleTimer(Option<Pin<Box<Sleep>>>);

impl IdleTimer {
    fn poll(
        &mut self,
        activity: &Activity,
        idle: Duration,
        stop: Pin<&mut WaitForCancellationFuture<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let sleep = match &mut self.0 {
            // It wakes this task, which has not changed since it was polled.
            Some(sleep) if !sleep.is_elapsed() => return Poll::Pending,
            Some(sleep) => {
                let rest = idle.saturating_sub(activity.waited());
                if rest.is_zero() {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(Instant::now() + rest);
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep(idle))),
        };
        // Both are polled here only, to register this task.
        if sleep.as_mut().poll(cx).is_ready() || stop.poll(cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A stream of which some bytes were read too early.
struct Rewound<I> {
    unread: Bytes,
    stream: I,
}

impl<I: AsyncRead + Unpin> AsyncRead for Rewound<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let first = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(first));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rewound<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
