//! All routes of the public port.

mod checkpoint;
mod class;
mod code;
mod display;
mod foreign;
mod guardians;
mod guidance;
mod history;
mod live_display;
mod offline_bundle;
mod papers;
mod phones;
mod results;
mod scan;
mod scan_request;
mod scans;
mod sessions;
mod sign_in;
#[cfg(test)]
mod tests;
mod tokens;
mod wards;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use yima_service::http::ProblemResponse;
use yima_service::http::openapi::description;

use crate::app::App;
use crate::body::DisplayBody;

pub(crate) use class::class_of;
pub(crate) use display::{answer as display_directly, display};
pub(crate) use scan::scan as answer_scan;
pub use scan_request::{ScanRequest, Scanned};

const DESCRIPTION: &str = "Shows and checks health codes. A JWT of the identity provider is exchanged once for a \
    session; a citizen's session shows their own code, a checkpoint's session scans.";

/// The routes that are answered before routing; the router has them for other methods.
pub(crate) const DISPLAY: &str = "/v1/display";
pub(crate) const SCAN: &str = "/v1/scan";

/// All routes, without the layer and the fallbacks of every service; with those of the API's description if it
/// `is_described`.
pub(crate) fn router(app: Arc<App>, is_described: bool) -> Router {
    live_display::register_metrics();
    let (router, api) = OpenApiRouter::new()
        .routes(routes!(display_routed))
        .routes(routes!(live_display::live_display))
        .routes(routes!(code::code))
        .routes(routes!(history::history))
        .routes(routes!(results::results))
        .routes(routes!(scan::scan))
        .routes(routes!(scans::scans))
        .routes(routes!(sessions::create, sessions::end_all))
        .routes(routes!(sessions::end_current))
        .routes(routes!(phones::start, phones::list))
        .routes(routes!(phones::end))
        .routes(routes!(tokens::tokens))
        .routes(routes!(wards::redeem, wards::list))
        .routes(routes!(wards::end))
        .routes(routes!(guardians::invite))
        .routes(routes!(guardians::list))
        .routes(routes!(guardians::end))
        .routes(routes!(papers::paper))
        .routes(routes!(papers::end))
        .routes(routes!(keys))
        .routes(routes!(guidance::guidance))
        .routes(routes!(offline_bundle::index))
        .routes(routes!(offline_bundle::part))
        .with_state(app.clone())
        .split_for_parts();
    let router = router.merge(sign_in::router(app)).merge(yima_web::reading());
    if is_described { router.merge(description(api, "yima read-api", DESCRIPTION)) } else { router }
}

/// The caller's own display, or a ward's: colour, tests, vaccination. Poll it with `If-None-Match`: an unchanged
/// display is 304.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/display",
    operation_id = "display",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer"),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event"),
    ),
    responses((status = 200, body = DisplayBody), (status = 304, description = "What the tag names is still right"))
)]
async fn display_routed(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    display(&app, &request).await
}

/// The public keys that sign codes: a JWK set (RFC 7517), or with `Accept: application/cose-key-set` a COSE key set (RFC
/// 9052 section 7).
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "offline",
    responses((status = 200, content(
        (Object = "application/jwk-set+json"),
        (Vec<u8> = "application/cose-key-set"),
    )))
)]
async fn keys(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    app.keyring.load().public_keys(&request)
}
