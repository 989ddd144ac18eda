//! HTTP as every server of ours speaks it: the accept loop, the one middleware layer, bodies and problem documents.

pub mod body;
mod coding;
mod docs;
mod edge;
mod limits;
pub mod openapi;
mod problem;
pub mod public;
mod request_id;
mod route;
mod serve;
mod tls;

use axum::Router;
use yima_schema::problem::{Problem, ProblemType};

pub use edge::{Edge, EdgeFuture, EdgeLayer};
pub use limits::HttpLimits;
pub use problem::ProblemResponse;
pub use serve::serve;
pub use tls::{Tls, TlsConfig, TlsError};

/// A finished router: 404 and 405 (with `Allow`) as problem documents, and `layer` around every route and both of these.
pub fn finish(router: Router, layer: &EdgeLayer) -> Router {
    coding::with_codings(router)
        .fallback(async || ProblemResponse::from(Problem::new(ProblemType::NotFound, "No route has this path")))
        .method_not_allowed_fallback(async || {
            ProblemResponse::from(Problem::new(
                ProblemType::MethodNotAllowed,
                "This path takes other methods: see Allow",
            ))
        })
        .layer(layer.clone())
}
