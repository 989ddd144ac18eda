//! The table of contents of the public port.

mod asked;
mod code;
mod display;
mod history;
mod scan;
mod scans;
mod sessions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};

use crate::app::App;
use crate::pages;

pub(crate) use display::display;

/// The one route that is answered before routing; here for its other methods.
pub(crate) const DISPLAY: &str = "/v1/display";

/// All routes, without the layer and the fallbacks that every service has.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(DISPLAY, get(async |State(app): State<Arc<App>>, request: HeaderMap| display(&app, &request).await))
        .route("/v1/code", get(code::code))
        .route("/v1/history", get(history::history))
        .route("/v1/scan", post(scan::scan))
        .route("/v1/scans", post(scans::scans))
        .route("/v1/sessions", post(sessions::create))
        .route("/v1/keys", get(keys))
        .with_state(app)
        .merge(pages::router())
}

/// `GET /v1/keys`: the public keys that sign codes (RFC 7517).
async fn keys(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    app.jwks.respond(&request)
}
