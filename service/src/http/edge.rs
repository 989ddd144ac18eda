//! The one middleware: request id, metrics, trace, access log, in-flight limit, check of the head, deadline and caught
//! panics, in one future without boxes. Separate layers for each of these cost a quarter of the throughput.

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

use super::error_page::{self, FirstLanguage};
use super::head;
use super::request_id::{self, X_REQUEST_ID};
use super::route::{CLIENT_GONE, Route, Routes, Series};
use super::{HttpLimits, ProblemResponse};
use crate::telemetry::{Sampling, Telemetry};

/// The middleware of one server. [`super::finish`] puts it around the routes; a clone shares limit and metrics.
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
    /// The middleware of the server that metrics call `service`. To be called once per server: its state lives as long
    /// as the process.
    pub fn new(service: &'static str, limits: &HttpLimits, telemetry: &Telemetry) -> Self {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            service,
            max_in_flight: limits.max_in_flight.get(),
            request_timeout: limits.request_timeout,
            in_flight: AtomicUsize::new(0),
            routes: Routes::new(service),
            sampling: telemetry.sampling(),
        }));
        // Read at each scrape: a gauge that every request changes would be one more contended cache line.
        telemetry.metrics().before_scrape(move || {
            let in_flight = u32::try_from(shared.in_flight.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
            metrics::gauge!("http_requests_in_flight", "service" => shared.service).set(in_flight);
        });
        Self(shared)
    }

    /// The middleware around a service outside any [`axum::Router`], such as a hot path that is answered before
    /// routing. `route` labels its requests in metrics.
    pub fn around<S>(&self, route: &'static str, inner: S) -> Edge<S> {
        Edge { inner, shared: self.0, route: Some(self.0.routes.get(route)), first: Arc::default() }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, shared: self.0, route: None, first: Arc::default() }
    }
}

/// A service inside the middleware. See [`EdgeLayer`].
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    shared: &'static Shared,
    /// The route of a service without a router.
    route: Option<&'static Route>,
    /// The route of the first request. A router wraps each of its routes separately, so it is nearly always the only
    /// one.
    first: Arc<OnceLock<&'static Route>>,
}

impl<S> Edge<S> {
    fn route<B>(&self, request: &Request<B>) -> &'static Route {
        let Some(path) = request.extensions().get::<MatchedPath>() else {
            return self.route.unwrap_or(self.shared.routes.unmatched);
        };
        let first = *self.first.get_or_init(|| self.shared.routes.get(path.as_str()));
        if *first.path == *path.as_str() { first } else { self.shared.routes.get(path.as_str()) }
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
        let in_flight = InFlight::begin(self.shared, series);
        let fits = in_flight.fits();
        let span = if fits { self.shared.sampling.span(&request, series.method, &route.path, &id) } else { None };
        let has_body = !request.body().is_end_stream();
        let page = error_page::first_language(request.method(), request.headers());
        let head = Head { shared: self.shared, route, id, span, in_flight, sleep: None, has_body, page };
        if !fits {
            return EdgeFuture { inner: None, answer: Some(overloaded()), head };
        }
        if let Err(problem) = head::check(&request) {
            let mut answer = ProblemResponse::from(problem).into_response();
            // Where the next request begins is as uncertain as this one.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return EdgeFuture { inner: None, answer: Some(answer), head };
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
        // An answer that needs no `inner`.
        answer: Option<Response>,
        head: Head,
    }
}

/// Statuses of answers that may come before the whole body was read.
const MAY_LEAVE_THE_BODY: [u16; 9] = [401, 403, 404, 405, 408, 413, 415, 429, 503];

/// The parts of a request that its answer needs.
struct Head {
    shared: &'static Shared,
    route: &'static Route,
    id: HeaderValue,
    span: Option<Span>,
    in_flight: InFlight,
    /// The deadline; made only when the answer is not ready at once.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether the request has a body, which a refusal may have left unread.
    has_body: bool,
    /// The client is a browser that opens an address: a problem becomes a page.
    page: Option<FirstLanguage>,
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for EdgeFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match (this.answer.take(), this.inner.as_mut().as_pin_mut()) {
            (Some(answer), _) => answer,
            (None, Some(inner)) => match this.head.guard(|| inner.poll(cx)) {
                Ok(Poll::Ready(Ok(answer))) => answer,
                Ok(Poll::Pending) if !this.head.in_flight.wait() => overloaded(),
                Ok(Poll::Pending) => match this.head.poll_deadline(cx) {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => return Poll::Pending,
                },
                Err(Panicked) => Panicked.answer(),
            },
            // Only after the answer, when a future may not be polled again.
            (None, None) => return Poll::Pending,
        };
        // Dropped now, so that a finished request holds no resources while its answer is sent.
        this.inner.set(None);
        Poll::Ready(Ok(this.head.finish(answer)))
    }
}

/// The handler panicked; the panic is logged.
struct Panicked;

impl Panicked {
    fn answer(self) -> Response {
        let detail = "The request failed; the cause is logged. It may be sent again";
        ProblemResponse::from(Problem::new(ProblemType::Internal, detail)).into_response()
    }
}

impl Head {
    /// Runs a step of the handler within the span, and logs a panic.
    fn guard<T>(&self, step: impl FnOnce() -> T) -> Result<T, Panicked> {
        let _entered = self.span.as_ref().map(Span::enter);
        // Unwind safe, since the inner future is dropped: nothing half done is used again.
        catch_unwind(AssertUnwindSafe(step)).map_err(|_panic| {
            let (service, route, id) = (self.shared.service, &self.route.path, self.id.to_str().unwrap_or_default());
            tracing::error!(service, %route, request_id = id, "a handler panicked; answered 500");
            Panicked
        })
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let deadline = self.shared.request_timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(deadline)));
        sleep.as_mut().poll(cx).map(|()| {
            ProblemResponse::from(
                Problem::new(ProblemType::Unavailable, "The answer was not ready in time; try again shortly")
                    .retry_after(1),
            )
            .into_response()
        })
    }

    fn finish(&mut self, mut answer: Response) -> Response {
        let status = answer.status().as_u16();
        let elapsed = self.in_flight.finish(status);
        let id = std::mem::replace(&mut self.id, HeaderValue::from_static(""));
        if let Some(span) = self.span.take() {
            span.record("http.response.status_code", status);
            if status >= 500 {
                span.record("otel.status_code", "ERROR");
            }
            // One of few texts: see the handlers that set `Cache-Status`.
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
        if let Some(first) = self.page {
            error_page::in_place_of_a_problem(&mut answer, first, id.to_str().unwrap_or_default());
        }
        let headers = answer.headers_mut();
        // A 304 leaves the client nothing to report, and the id would be an eighth of the answer.
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(X_REQUEST_ID, id);
        }
        if self.has_body && MAY_LEAVE_THE_BODY.contains(&status) {
            // A connection with half a request in it cannot be used again, and the client has to know (RFC 9112 section
            // 9.6).
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// Counts a request until it is answered, or dropped because its client left. It counts as in flight only once it has
/// to wait: a request that is answered at once would change a number that all threads share, twice, for nothing.
struct InFlight {
    shared: &'static Shared,
    series: &'static Series,
    started: Instant,
    waits: bool,
    finished: bool,
}

impl InFlight {
    fn begin(shared: &'static Shared, series: &'static Series) -> Self {
        Self { shared, series, started: Instant::now(), waits: false, finished: false }
    }

    /// Whether the limit admits one more.
    fn fits(&self) -> bool {
        self.shared.in_flight.load(Ordering::Relaxed) < self.shared.max_in_flight
    }

    /// Counts the request as in flight from now on. `false`: others have reached the limit meanwhile.
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

impl Drop for InFlight {
    fn drop(&mut self) {
        self.finish(CLIENT_GONE);
    }
}

/// The refusal over the in-flight limit. It takes about a microsecond: one small document is written.
fn overloaded() -> Response {
    ProblemResponse::from(
        Problem::new(ProblemType::Unavailable, "Too many requests are in flight; try again shortly").retry_after(1),
    )
    .into_response()
}
