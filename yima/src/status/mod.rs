//! The state of the nodes of a deployment in plain words: `yima status`, and `/status` and the operator's page of the
//! admin port. No persons.

mod findings;
mod overview;
mod samples;

use std::collections::BTreeMap;
use std::io::Write;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use yima_service::admin;
use yima_service::clock::now;
use yima_service::ready::Readiness;
use yima_service::telemetry::Metrics;

use self::findings::{Finding, Severity};
pub use self::overview::Nodes;
use self::samples::Samples;
use crate::cli::{Options, Status};
use crate::config::Config;
use crate::error::CommandError;

/// The state of one node, by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    version: String,
    region: String,
    /// `everything`, `read-api`, `writer` or `auditor`.
    role: String,
    ready: bool,
    /// Of a read service.
    level: Option<u8>,
    /// Share of the last second in which the workers were busy.
    utilization: f64,
    /// The node's clock and the time since its start, in seconds.
    clock_s: f64,
    up_s: f64,
    /// Of a read service: how far it is behind the changes of the store, in seconds; none when unknown.
    lag_s: Option<f64>,
    /// How far it is behind each other region; none when unknown.
    regions_lag_s: BTreeMap<String, Option<f64>>,
    /// Of a writer: marks of other regions that are not folded yet.
    marks_waiting: f64,
    /// The active key of each kind, as a number that differs between keys.
    keys: BTreeMap<String, f64>,
    findings: Vec<Finding>,
}

/// What a node knows of itself.
#[derive(Clone)]
pub struct ThisNode {
    /// As [`NodeStatus::role`] has it.
    pub role: &'static str,
    pub region: String,
    pub readiness: Readiness,
    pub metrics: Metrics,
}

impl ThisNode {
    fn status(&self) -> NodeStatus {
        let text = self.metrics.render();
        let samples = Samples::parse(&text);
        let clock_s = now().as_millis() as f64 / 1_000.0;
        let waiting_for = self.readiness.waiting_for();
        let mut findings = Vec::new();
        if !waiting_for.is_empty() {
            let text = format!("not ready: waits for {}", waiting_for.join(", "));
            findings.push(Finding::new(Severity::Critical, text, Some("YimaNotReady")));
        }
        let degraded = self.readiness.degraded();
        if !degraded.is_empty() {
            let text = format!("does not do all of its work: {}", degraded.join(", "));
            findings.push(Finding::new(Severity::Warning, text, None));
        }
        findings.extend(findings::by_metrics(&samples, clock_s));
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            region: self.region.clone(),
            role: self.role.to_owned(),
            ready: waiting_for.is_empty(),
            level: samples.value("level").map(|level| level as u8),
            utilization: samples.value("runtime_busy_ratio").and_then(finite).unwrap_or(0.0),
            clock_s,
            up_s: clock_s - samples.value("process_start_time_seconds").unwrap_or(clock_s),
            lag_s: samples.value("cache_poll_lag_seconds").and_then(finite),
            regions_lag_s: samples
                .of("cache_region_lag_seconds")
                .map(|(region, lag)| (region.to_owned(), finite(lag)))
                .collect(),
            marks_waiting: samples.of("marks_waiting").map(|(_, marks)| marks).sum(),
            keys: samples.of("key_active_number").map(|(kind, number)| (kind.to_owned(), number)).collect(),
            findings,
        }
    }

    /// What each admin port has: health and metrics, `GET /status` (this node), `GET /status/nodes` (all of
    /// `admin.nodes`), and the operator's page at `/`.
    pub fn router(self, nodes: Nodes) -> Router {
        admin::router(self.readiness.clone(), self.metrics.clone())
            .route("/status", get(async move || (no_store(), Json(self.status()))))
            .route("/status/nodes", get(async move || (no_store(), Json(nodes.overview().await))))
            .route("/", get(async || page("text/html; charset=utf-8", include_str!("page.html"))))
            .route("/page.css", get(async || page("text/css; charset=utf-8", include_str!("page.css"))))
            .route("/page.js", get(async || page("text/javascript; charset=utf-8", include_str!("page.js"))))
    }
}

fn no_store() -> [(axum::http::HeaderName, HeaderValue); 1] {
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

fn page(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ]);
    (headers, body)
}

/// Prints the state of all nodes; returns the exit code of a Nagios plugin: 0 (OK), 1 (warnings), 2 (critical).
///
/// # Errors
/// Settings; standard output.
pub fn run(options: &Options, arguments: &Status) -> Result<u8, CommandError> {
    let config = Config::load_for_status(options.config.as_deref())?;
    let nodes = Nodes::new(&config.admin, &arguments.nodes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let overview = runtime.block_on(nodes.overview());
    let mut out = std::io::stdout().lock();
    let written = if arguments.json {
        serde_json::to_writer_pretty(&mut out, &overview).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        write!(out, "{overview}")
    };
    written.map_err(CommandError::Output)?;
    Ok(overview.exit_code())
}

#[cfg(test)]
mod tests;
