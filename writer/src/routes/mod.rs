//! The routes of the public port.

mod citizen;
mod events;
mod fhir;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use yima_schema::handover;
use yima_service::http::openapi::description;

use crate::app::App;
use crate::hints;

const DESCRIPTION: &str = "Takes events about people from agencies: identities, test results, vaccinations, decisions \
    on colours. An accepted event is durable and shows on the phone within a second.";

/// All routes, without the layer and the fallbacks that every service has; with those of the API's description if it
/// `is_described`.
pub fn router(app: Arc<App>, is_described: bool) -> Router {
    // Between services of this system, and not part of the API.
    let internal = Router::new().route(handover::ROUTE, post(citizen::take)).with_state(app.clone());
    let internal = internal.merge(hints::router(app.hints.clone()));
    let (router, api) = OpenApiRouter::new().routes(routes!(events::create)).with_state(app.clone()).split_for_parts();
    let router = router.merge(internal).merge(sign_in::router(app)).merge(yima_web::agency());
    if is_described { router.merge(description(api, "yima writer", DESCRIPTION)) } else { router }
}
