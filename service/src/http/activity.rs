//! Whether a connection answers a request or waits for one. Waiting connections can be closed at any time; what they
//! have sent is less than a request.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::CONNECTION;
use axum::http::{Request, Version};
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
    /// Whether the connection goes on after its request, and nothing of the request is left to be read.
    goes_on: AtomicBool,
    /// Whether its last request had a body.
    had_body: AtomicBool,
}

impl Activity {
    pub(super) fn new(epoch: Instant) -> Self {
        let new = Self {
            epoch,
            waiting_since: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            goes_on: AtomicBool::new(true),
            had_body: AtomicBool::new(false),
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

    /// Whether the connection is between two requests: nothing is left to be read or sent of those before number
    /// `after + 1` is done, and it stays open.
    pub(super) fn is_between_requests(&self, after: u64) -> bool {
        self.waiting_since().is_some() && self.request() > after && self.goes_on.load(Ordering::Relaxed)
    }

    /// Whether the last request that hyper has read had a body.
    pub(super) fn had_body(&self) -> bool {
        self.had_body.load(Ordering::Relaxed)
    }

    /// For tests; 0 while a request is answered.
    #[cfg(test)]
    pub(super) fn set_waiting_since(&self, since: u64) {
        self.waiting_since.store(since, Ordering::Relaxed);
    }

    pub(super) fn requested(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
        self.requests.store(self.request() + 1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) {
        self.waiting_since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// How long the connection has waited for a request.
    pub(super) fn waited(&self) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| Duration::from_millis(self.now().saturating_sub(since)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
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
        // A connection that anything is said of might be closed, or become another protocol's.
        let is_usual = request.version() == Version::HTTP_11 && !request.headers().contains_key(CONNECTION);
        // A request without a body, as most are, begins without an allocation for it.
        let has_body = !request.body().is_end_stream();
        self.activity.goes_on.store(is_usual && !has_body, Ordering::Relaxed);
        self.activity.had_body.store(has_body, Ordering::Relaxed);
        let request = request.map(|incoming| {
            let activity = is_usual.then(|| Arc::clone(self.activity));
            if has_body { Body::new(Asked { incoming, activity }) } else { Body::empty() }
        });
        Answering { answer: self.app.borrow_mut().call(request), activity: self.activity }
    }
}

/// The body of a request.
struct Asked {
    incoming: Incoming,
    /// Notes that nothing of the body is left.
    activity: Option<Arc<Activity>>,
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none()
            && let Some(activity) = self.activity.take()
        {
            activity.goes_on.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
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
        if answer.headers().contains_key(CONNECTION) {
            this.activity.goes_on.store(false, Ordering::Relaxed);
        }
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
