//! The table of contents of the public port.

mod events;
mod fhir;
mod rows;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use crate::app::App;

/// All routes, without the layer and the fallbacks that every service has.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/v1/events", post(events::create)).with_state(app)
}
