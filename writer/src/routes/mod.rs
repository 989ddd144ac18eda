//! The routes of the public port.

mod events;
mod fhir;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use yima_service::http::openapi::described;

use crate::app::App;

const DESCRIPTION: &str = "Takes events about people from agencies: identities, test results, vaccinations, decisions \
    on colours. An accepted event is durable and shows on the phone within a second.";

/// All routes, without the layer and the fallbacks that every service has.
pub fn router(app: Arc<App>) -> Router {
    let (router, api) = OpenApiRouter::new().routes(routes!(events::create)).with_state(app).split_for_parts();
    described(router, api, "yima writer", DESCRIPTION).merge(yima_web::agency())
}
