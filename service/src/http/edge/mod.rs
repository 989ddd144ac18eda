//! The one middleware: request id, metrics, trace, access log, refusals by level and in-flight limit, check of the
//! head, deadline and caught panics, in one future without boxes. Separate layers for each of these cost a quarter of
//! the throughput.

mod direct;
mod layer;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::MatchedPath;
use axum::http::header::{CACHE_STATUS, CONNECTION};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};
use tracing::Span;

use self::layer::{Shared, describe, level_field, text};
use super::ProblemResponse;
use super::deadline;
use super::error_page::{self, FirstLanguage};
use super::head;
use super::refusal::Refusal;
use super::request_id::{self, X_REQUEST_ID};
use super::route::{CLIENT_GONE, Route, Series};

pub use direct::Handled;
pub use layer::{EdgeLayer, Ranking, YIMA_LEVEL};

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
        let refusal = self.shared.refuses(series.class, self.shared.level());
        let span = if refusal.is_none() { self.shared.span(request.headers(), route, series, text(&id)) } else { None };
        let has_body = !request.body().is_end_stream();
        let page = error_page::first_language(request.method(), request.headers());
        let head = Head { shared: self.shared, route, id, span, in_flight, sleep: None, has_body, page };
        if let Some(refusal) = refusal {
            let answer = self.shared.refusals.refuse(series.class, refusal).into_response();
            return EdgeFuture { inner: None, answer: Some(answer), head };
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
                Ok(Poll::Pending) if !this.head.in_flight.wait() => this.head.overloaded(),
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
        super::refusal::failed().into_response()
    }
}

impl Head {
    /// Runs a step of the handler within the span and the deadline, and logs a panic.
    fn guard<T>(&self, step: impl FnOnce() -> T) -> Result<T, Panicked> {
        let _entered = self.span.as_ref().map(Span::enter);
        let step = || deadline::within(self.deadline(), step);
        // Unwind safe, since the inner future is dropped: nothing half done is used again.
        catch_unwind(AssertUnwindSafe(step)).map_err(|_panic| {
            let (service, route, id) = (self.shared.service, &self.route.path, text(&self.id));
            tracing::error!(service, %route, request_id = id, "a handler panicked; answered 500");
            Panicked
        })
    }

    fn overloaded(&self) -> Response {
        self.shared.refusals.refuse(self.in_flight.series.class, Refusal::Full).into_response()
    }

    /// `None`: in a time that no clock shows.
    fn deadline(&self) -> Option<Instant> {
        self.in_flight.started.checked_add(self.shared.request_timeout)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(cx).map(|()| super::refusal::late().into_response())
    }

    fn finish(&mut self, mut answer: Response) -> Response {
        let status = answer.status().as_u16();
        let elapsed = self.in_flight.finish(status);
        let id = std::mem::replace(&mut self.id, HeaderValue::from_static(""));
        if let Some(span) = self.span.take() {
            describe(&span, status, answer.headers().get(CACHE_STATUS));
        }
        self.shared.log(self.route, self.in_flight.series.method, status, elapsed, text(&id));
        if let Some(first) = self.page {
            error_page::in_place_of_a_problem(&mut answer, first, text(&id));
        }
        let headers = answer.headers_mut();
        // A 304 leaves the client nothing to report, and the id would be an eighth of the answer.
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(level) = level_field(self.shared.level()) {
            headers.insert(YIMA_LEVEL, level);
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

    /// Counts the request as in flight from now on. `false`: its class has no room.
    fn wait(&mut self) -> bool {
        if std::mem::replace(&mut self.waits, true) {
            return true;
        }
        self.shared.in_flight.enter(self.series.class)
    }

    fn finish(&mut self, status: u16) -> Duration {
        let elapsed = self.started.elapsed();
        if !std::mem::replace(&mut self.finished, true) {
            self.series.record(status, elapsed);
            if self.waits {
                self.shared.in_flight.leave();
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
