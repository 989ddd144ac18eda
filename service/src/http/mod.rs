//! HTTP of all ports: the accept loop, the one middleware, bodies and problem documents.

mod activity;
mod arrivals;
pub mod body;
pub mod client;
mod coding;
mod connection;
pub mod deadline;
mod direct;
mod docs;
mod edge;
pub(crate) mod error_page;
mod head;
mod host;
mod in_flight;
mod known;
mod limits;
pub mod openapi;
mod paced;
mod places;
mod problem;
mod proxy;
pub mod public;
mod refusal;
mod request_id;
mod route;
mod serve;
mod tls;
pub mod unique_members;

use axum::Router;
use yima_schema::problem::{Problem, ProblemType};

pub use direct::{Answer, Direct, Fields};
pub use edge::{Edge, EdgeFuture, EdgeLayer, Handled, Ranking, YIMA_LEVEL};
pub use host::HostNames;
pub use known::Known;
pub use limits::HttpLimits;
pub use problem::ProblemResponse;
pub use proxy::{Network, NetworkError};
pub use route::ClassOf;
pub use serve::serve;
pub use tls::{Tls, TlsConfig, TlsError};

/// Finishes a router: 404 and 405 (with `Allow`) are problem documents, and `layer` goes around every route and both of
/// these.
pub fn finish(router: Router, layer: &EdgeLayer) -> Router {
    coding::with_codings(router)
        .fallback(async || ProblemResponse::from(Problem::new(ProblemType::NotFound, "No route has this path")))
        .method_not_allowed_fallback(async || {
            ProblemResponse::from(Problem::new(
                ProblemType::MethodNotAllowed,
                "This path accepts other methods: see the Allow header",
            ))
        })
        .layer(layer.clone())
}
