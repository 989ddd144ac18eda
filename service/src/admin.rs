//! The admin port: health and metrics, for operators and probes.

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::ready::Readiness;
use crate::telemetry::Metrics;

/// The admin port: health, metrics and, on read nodes, the cache's settings in force.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct AdminConfig {
    /// Address and port: [addresses](#addresses). The port requires no token and speaks no TLS: open it to operators
    /// only, or leave it on the loopback address and scrape it from there.
    pub listen: SocketAddr,
    /// Host names, besides `localhost` and IP addresses, by which clients reach the admin port and the demo's routes.
    /// Requests for other names are answered 421, since a page of any site could send them through its visitors'
    /// browsers (DNS rebinding).
    pub host_names: Vec<String>,
    /// Admin ports of all nodes of all regions, `host:port` each: those that `yima status` and the operator's page at
    /// `/` of this port ask. Without any, this node alone.
    pub nodes: Vec<String>,
    /// Base URL of the Prometheus with the alerts, plain HTTP, such as `http://10.0.0.9:9090`: the alerts that fire are
    /// shown with the state of the nodes.
    pub prometheus: Option<String>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            host_names: Vec::new(),
            nodes: Vec::new(),
            prometheus: None,
        }
    }
}

/// `GET /health/live` (200 as long as the process answers), `GET /health/ready` (200, or 503 with the parts that are
/// not up in `waiting_for`; `degraded` has the parts that do not do all of their work) and `GET /metrics` (Prometheus'
/// text format).
pub fn router(readiness: Readiness, metrics: Metrics) -> Router {
    let ready_gauge = readiness.clone();
    metrics.before_scrape(move || {
        metrics::gauge!("process_ready").set(u8::from(ready_gauge.is_ready()));
    });
    Router::new()
        .route("/health/live", get(async || Json(serde_json::json!({"live": true}))))
        .route("/health/ready", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || text(metrics.render())))
}

fn ready(readiness: &Readiness) -> Response {
    let waiting_for = readiness.waiting_for();
    let status = if waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = serde_json::json!({"waiting_for": waiting_for});
    let degraded = readiness.degraded();
    if !degraded.is_empty() {
        body["degraded"] = degraded.into();
    }
    (status, Json(body)).into_response()
}

fn text(metrics: String) -> Response {
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(header::CONTENT_TYPE, content_type)], metrics).into_response()
}
