//! Whether a connection answers a request or waits for one. Waiting connections can be closed at any time; what they
//! have sent is less than a request.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

/// Of one connection. Only its own task writes it, so nothing here contends.
pub(super) struct Activity {
    /// When the accept loop started.
    epoch: Instant,
    /// Milliseconds since `epoch`, from 1 on, since when the connection waits for a request; 0 while it answers one.
    waiting_since: AtomicU64,
    /// Requests so far.
    requests: AtomicU64,
    /// Whether bytes are left that the socket does not take.
    blocked: AtomicBool,
}

impl Activity {
    pub(super) fn new(epoch: Instant) -> Self {
        let new = Self {
            epoch,
            waiting_since: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
        };
        new.answered();
        new
    }

    /// Since when the connection waits for a request, in milliseconds; `None` while it answers one.
    pub(super) fn waiting_since(&self) -> Option<u64> {
        match self.waiting_since.load(Ordering::Relaxed) {
            0 => None,
            _ if self.blocked.load(Ordering::Relaxed) => None,
            since => Some(since),
        }
    }

    /// The number of the request that is, or was last, answered.
    pub(super) fn request(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Notes whether the socket takes bytes.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// For tests; 0 while a request is answered.
    #[cfg(test)]
    pub(super) fn set_waiting_since(&self, since: u64) {
        self.waiting_since.store(since, Ordering::Relaxed);
    }

    fn requested(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
        self.requests.store(self.request() + 1, Ordering::Relaxed);
    }

    fn answered(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.waiting_since.store(now + 1, Ordering::Relaxed);
    }
}

/// Adapts a service to hyper for the requests of one connection, which come one after another. A clone for each request
/// would make its reference counts contended by all threads.
pub(super) struct OneByOne<'c, S> {
    app: RefCell<S>,
    activity: &'c Arc<Activity>,
}

impl<'c, S> OneByOne<'c, S> {
    pub(super) fn new(app: S, activity: &'c Arc<Activity>) -> Self {
        Self { app: RefCell::new(app), activity }
    }
}

impl<'c, S> hyper::service::Service<Request<Incoming>> for OneByOne<'c, S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    type Response = axum::http::Response<Answer>;
    type Error = Infallible;
    type Future = Answering<'c, S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.requested();
        Answering { answer: self.app.borrow_mut().call(request.map(body)), activity: self.activity }
    }
}

/// A request without a body, as most are, begins without an allocation for it.
fn body(incoming: Incoming) -> Body {
    if incoming.is_end_stream() { Body::empty() } else { Body::new(incoming) }
}

pin_project! {
    /// The answer of a [`OneByOne`].
    pub(super) struct Answering<'c, F> {
        #[pin]
        answer: F,
        activity: &'c Arc<Activity>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answering<'_, F> {
    type Output = Result<axum::http::Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(answer) = ready!(this.answer.poll(cx));
        let sent = Sent(Arc::clone(this.activity));
        Poll::Ready(Ok(answer.map(|body| Answer { body, _sent: sent })))
    }
}

/// Notes the end of an answer: hyper drops its body then.
struct Sent(Arc<Activity>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.answered();
    }
}

pin_project! {
    /// The body of an answer.
    pub(super) struct Answer {
        #[pin]
        body: Body,
        _sent: Sent,
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
