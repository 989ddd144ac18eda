//! The one middleware: request id, metrics, trace, access log, in-flight limit, deadline and the catching of panics, in one future without
//! boxes. Several layers that each do one of these cost a quarter of the throughput.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::MatchedPath;
use axum::http::header::{CACHE_STATUS, CONNECTION};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};
use tracing::Span;
use yima_schema::problem::{Problem, ProblemType};

use super::request_id::{self, X_REQUEST_ID};
use super::route::{CLIENT_GONE, Route, Routes, Series};
use super::{HttpLimits, ProblemResponse};
use crate::telemetry::{Sampling, Telemetry};

/// The middleware of one server. Goes around the routes with [`super::finish`]; a clone is the same limit and the same metrics.
#[derive(Clone)]
pub struct EdgeLayer(&'static Shared);

struct Shared {
    service: &'static str,
    max_in_flight: usize,
    request_timeout: Duration,
    in_flight: AtomicUsize,
    routes: Routes,
    sampling: Sampling,
}

impl EdgeLayer {
    /// The middleware of the server that metrics call `service`. To be called once per server: what it makes lives as long as the process.
    pub fn new(service: &'static str, limits: &HttpLimits, telemetry: &Telemetry) -> Self {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            service,
            max_in_flight: limits.max_in_flight.get(),
            request_timeout: limits.request_timeout,
            in_flight: AtomicUsize::new(0),
            routes: Routes::new(service),
            sampling: telemetry.sampling(),
        }));
        // Read at each scrape: a gauge that every request moves would be one more contended cache line.
        telemetry.metrics().before_scrape(move || {
            let in_flight = u32::try_from(shared.in_flight.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
            metrics::gauge!("http_requests_in_flight", "service" => shared.service).set(in_flight);
        });
        Self(shared)
    }

    /// The same around a service that no [`axum::Router`] routes to, such as a hot path that is answered before routing. `route` is what
    /// its requests are counted under.
    pub fn around<S>(&self, route: &'static str, inner: S) -> Edge<S> {
        Edge { inner, shared: self.0, route: Some(self.0.routes.get(route)), seen: Arc::default() }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, shared: self.0, route: None, seen: Arc::default() }
    }
}

/// A service with the middleware around it. See [`EdgeLayer`].
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    shared: &'static Shared,
    /// The route, when no router says it.
    route: Option<&'static Route>,
    /// The route that came through here first. A router wraps each of its routes by itself, so nearly always the only one.
    seen: Arc<OnceLock<&'static Route>>,
}

impl<S> Edge<S> {
    fn route<B>(&self, request: &Request<B>) -> &'static Route {
        let Some(path) = request.extensions().get::<MatchedPath>() else {
            return self.route.unwrap_or(self.shared.routes.unmatched);
        };
        let seen = *self.seen.get_or_init(|| self.shared.routes.get(path.as_str()));
        if *seen.path == *path.as_str() { seen } else { self.shared.routes.get(path.as_str()) }
    }
}

impl<S, B> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
    B: HttpBody,
{
    type Response = Response;
    type Error = Infallible;
    type Future = EdgeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = self.route(&request);
        let series = route.series(request.method());
        let id = request_id::of(request.headers());
        let under_way = UnderWay::begin(self.shared, series);
        let fits = under_way.fits();
        let span = if fits { self.shared.sampling.span(&request, series.method, &route.path, &id) } else { None };
        let has_body = !request.body().is_end_stream();
        let head = Head { shared: self.shared, route, id, span, under_way, sleep: None, has_body };
        if !fits {
            return EdgeFuture { inner: None, answer: Some(overloaded()), head };
        }
        let inner = &mut self.inner;
        match head.guard(|| inner.call(request)) {
            Ok(inner) => EdgeFuture { inner: Some(inner), answer: None, head },
            Err(Panicked) => EdgeFuture { inner: None, answer: Some(Panicked.answer()), head },
        }
    }
}

pin_project! {
    /// The answer of an [`Edge`].
    pub struct EdgeFuture<F> {
        #[pin]
        inner: Option<F>,
        // The answer where it is known without asking `inner`.
        answer: Option<Response>,
        head: Head,
    }
}

/// Answers that are given before a body is read to its end.
const MAY_LEAVE_THE_BODY: [u16; 9] = [401, 403, 404, 405, 408, 413, 415, 429, 503];

/// What is kept of a request until its answer.
struct Head {
    shared: &'static Shared,
    route: &'static Route,
    id: HeaderValue,
    span: Option<Span>,
    under_way: UnderWay,
    /// The deadline; made only when the answer is not there at once.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether it came with a body, which a refusal may have left unread.
    has_body: bool,
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for EdgeFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match (this.answer.take(), this.inner.as_mut().as_pin_mut()) {
            (Some(answer), _) => answer,
            (None, Some(inner)) => match this.head.guard(|| inner.poll(cx)) {
                Ok(Poll::Ready(Ok(answer))) => answer,
                Ok(Poll::Pending) if !this.head.under_way.wait() => overloaded(),
                Ok(Poll::Pending) => match this.head.poll_deadline(cx) {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => return Poll::Pending,
                },
                Err(Panicked) => Panicked.answer(),
            },
            // Only after the answer was given, when nobody may ask again.
            (None, None) => return Poll::Pending,
        };
        // Dropped now, so that a request that is over holds nothing while its answer is sent.
        this.inner.set(None);
        Poll::Ready(Ok(this.head.finish(answer)))
    }
}

/// The handler panicked; it is logged.
struct Panicked;

impl Panicked {
    fn answer(self) -> Response {
        let detail = "The fault is logged; the request may be tried again";
        ProblemResponse::from(Problem::new(ProblemType::Internal, detail)).into_response()
    }
}

impl Head {
    /// Runs a step of the handler within the span, and logs it if it panics.
    fn guard<T>(&self, step: impl FnOnce() -> T) -> Result<T, Panicked> {
        let _entered = self.span.as_ref().map(Span::enter);
        // Nothing that the step may have left half done is used again: the inner future is dropped.
        catch_unwind(AssertUnwindSafe(step)).map_err(|_panic| {
            let (service, route, id) = (self.shared.service, &self.route.path, self.id.to_str().unwrap_or_default());
            tracing::error!(service, %route, request_id = id, "a handler panicked");
            Panicked
        })
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let deadline = self.shared.request_timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(deadline)));
        sleep.as_mut().poll(cx).map(|()| {
            ProblemResponse::from(
                Problem::new(ProblemType::Unavailable, "The answer was not ready in time").retry_after(1),
            )
            .into_response()
        })
    }

    fn finish(&mut self, mut answer: Response) -> Response {
        let status = answer.status().as_u16();
        let elapsed = self.under_way.finish(status);
        let id = std::mem::replace(&mut self.id, HeaderValue::from_static(""));
        if let Some(span) = self.span.take() {
            span.record("http.response.status_code", status);
            if status >= 500 {
                span.record("otel.status_code", "ERROR");
            }
            // One of few texts, see `CACHE_STATUS` of who answers from a cache.
            if let Some(outcome) = answer.headers().get(CACHE_STATUS).and_then(|value| value.to_str().ok()) {
                span.record("cache.status", outcome);
            }
        }
        tracing::debug!(
            service = self.shared.service,
            route = &*self.route.path,
            status,
            elapsed_us = elapsed.as_micros(),
            request_id = id.to_str().unwrap_or_default(),
            "answered"
        );
        let headers = answer.headers_mut();
        // Who is told that nothing has changed has nothing to ask about, and it would be an eighth of the answer.
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(X_REQUEST_ID, id);
        }
        if self.has_body && MAY_LEAVE_THE_BODY.contains(&status) {
            // The connection cannot be used again with half a request in it, and its client is to know (RFC 9112 section 9.6).
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Counts a request until it is answered, or dropped because its client went away. Among those in flight it counts once it has to wait: one
/// that is answered at once would only move a number that all threads share, twice.
struct UnderWay {
    shared: &'static Shared,
    series: &'static Series,
    started: Instant,
    waits: bool,
    finished: bool,
}

impl UnderWay {
    fn begin(shared: &'static Shared, series: &'static Series) -> Self {
        Self { shared, series, started: Instant::now(), waits: false, finished: false }
    }

    /// Whether there is room for one more.
    fn fits(&self) -> bool {
        self.shared.in_flight.load(Ordering::Relaxed) < self.shared.max_in_flight
    }

    /// It has to wait. `false`: others have taken the room meanwhile.
    fn wait(&mut self) -> bool {
        if std::mem::replace(&mut self.waits, true) {
            return true;
        }
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed) < self.shared.max_in_flight
    }

    fn finish(&mut self, status: u16) -> Duration {
        let elapsed = self.started.elapsed();
        if !std::mem::replace(&mut self.finished, true) {
            self.series.record(status, elapsed);
            if self.waits {
                self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            }
        }
        elapsed
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.finish(CLIENT_GONE);
    }
}

/// The refusal over the in-flight limit. About a microsecond: one small document is written.
fn overloaded() -> Response {
    ProblemResponse::from(Problem::new(ProblemType::Unavailable, "Too many requests are under way").retry_after(1))
        .into_response()
}
