//! The fast path: a display and a scan are answered before routing, every other request goes to the router. Routing a
//! display costs as much as answering it, and what surrounds the routes half as much as a scan (see `tests/bench`).

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_ENCODING;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use futures::FutureExt;
use futures::future::Either;
use tower::{Service, service_fn};
use yima_service::http::{Direct, EdgeLayer, finish};

use crate::app::App;
use crate::routes::{DISPLAY, SCAN, answer_scan, display, display_directly};

/// The service of the public port: displays, scans, and the other `routes`, with `layer` around them.
pub(crate) fn service(
    app: Arc<App>,
    routes: Router,
    layer: &EdgeLayer,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let rest = finish(routes, layer);
    let scanned = app.clone();
    let display =
        service_fn(move |request: Request| display(&app, request.headers()).map(|result| Ok(result.into_response())));
    let scan = service_fn(move |request| {
        answer_scan(State(scanned.clone()), request).map(|result| Ok::<_, Infallible>(result.into_response()))
    });
    FastPath { display: layer.around(DISPLAY, display), scan: layer.around(SCAN, scan), rest }
}

/// The same displays without hyper, for what is usual.
pub(crate) fn direct(app: Arc<App>, layer: &EdgeLayer) -> Arc<dyn Direct> {
    layer.direct(DISPLAY, move |request, answer| display_directly(&app, request, answer))
}

#[derive(Clone)]
struct FastPath<D, S> {
    display: D,
    scan: S,
    rest: Router,
}

impl<D, S> Service<Request> for FastPath<D, S>
where
    D: Service<Request, Response = Response, Error = Infallible>,
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Either<D::Future, S::Future>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router and a function are always ready
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, path) = (request.method(), request.uri().path());
        if method == Method::GET && path == DISPLAY {
            Either::Left(Either::Left(self.display.call(request)))
        } else if method == Method::POST && path == SCAN && !request.headers().contains_key(CONTENT_ENCODING) {
            Either::Left(Either::Right(self.scan.call(request)))
        } else {
            Either::Right(self.rest.call(request))
        }
    }
}
