//! The fast path: a display is answered before routing, every other request goes to the router. Routing a display costs
//! as much as answering it (see `tests/bench display`).

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use futures::FutureExt;
use futures::future::Either;
use tower::{Service, service_fn};
use yima_service::http::{EdgeLayer, finish};

use crate::app::App;
use crate::routes::{DISPLAY, display};

/// The service of the public port: displays, and the other `routes`, with `layer` around them.
pub(crate) fn service(
    app: Arc<App>,
    routes: Router,
    layer: &EdgeLayer,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let rest = finish(routes, layer);
    let display =
        service_fn(move |request: Request| display(&app, request.headers()).map(|result| Ok(result.into_response())));
    FastPath { display: layer.around(DISPLAY, display), rest }
}

#[derive(Clone)]
struct FastPath<D> {
    display: D,
    rest: Router,
}

impl<D> Service<Request> for FastPath<D>
where
    D: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<D::Future, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router and a function are always ready
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() == Method::GET && request.uri().path() == DISPLAY {
            Either::Left(self.display.call(request))
        } else {
            Either::Right(self.rest.call(request))
        }
    }
}
