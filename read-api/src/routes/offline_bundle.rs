//! `GET /v1/offline-bundle` and its parts: what checkpoints judge by without a network. The same for everybody, so that
//! any cache may keep it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use yima_service::http::ProblemResponse;

use crate::app::App;

/// The signed index of the newest release (`docs/offline-bundle.md`). Poll it with `If-None-Match` once `max-age` is over.
///
/// # Errors
/// 503.
#[utoipa::path(
    get,
    path = "/v1/offline-bundle",
    operation_id = "offline_bundle",
    tag = "offline",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer")),
    responses(
        (status = 200, content((Vec<u8> = "application/cose"))),
        (status = 304, description = "The release that the tag names is still the newest"),
    )
)]
pub async fn index(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    Ok(app.offline_bundle.index(&request)?)
}

/// What an index names, by its SHA-256. It never changes.
///
/// # Errors
/// 404.
#[utoipa::path(
    get,
    path = "/v1/offline-bundle/{sha256}",
    operation_id = "offline_bundle_part",
    tag = "offline",
    params(("sha256" = String, Path, description = "64 lower-case hexadecimal digits")),
    responses((status = 200, content((Vec<u8> = "application/octet-stream"))))
)]
pub async fn part(
    State(app): State<Arc<App>>,
    Path(sha256): Path<String>,
    request: HeaderMap,
) -> Result<Response, ProblemResponse> {
    Ok(app.offline_bundle.part(&sha256, &request)?)
}
