//! `GET /v1/guidance`: what the pages tell citizens about reasons and agencies. The same for everybody, so that any
//! cache may keep it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use yima_schema::guidance::Guidance;

use crate::app::App;

/// Names of reasons and agencies, and the steps of a colour, in Chinese and English.
#[utoipa::path(
    get,
    path = "/v1/guidance",
    tag = "offline",
    responses((status = 200, body = Guidance))
)]
pub async fn guidance(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    app.guidance.respond(&request)
}
