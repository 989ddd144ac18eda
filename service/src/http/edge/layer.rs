//! What all requests of one port share: limits, levels, metrics, sampling.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

use super::Edge;
use super::direct::{DirectEdge, Handled};
use crate::http::HttpLimits;
use crate::http::direct::{Answer, Direct};
use crate::http::in_flight::InFlightLimit;
use crate::http::known::Known;
use crate::http::refusal::{Refusal, Refusals};
use crate::http::route::{ClassOf, Route, Routes, Series};
use crate::levels::{Class, Level, Levels};
use crate::lifecycle::Lifecycle;
use crate::telemetry::{Sampling, Telemetry};
use crate::utilization::Utilization;

/// The level of degradation, on every answer of a node that leaves something out.
pub const YIMA_LEVEL: HeaderName = HeaderName::from_static("yima-level");

/// Between two steps of the in-flight limit.
const ADAPT_EVERY: Duration = Duration::from_millis(100);

/// Who is refused first at a port.
pub struct Ranking {
    /// The level of the process.
    pub levels: Arc<Levels>,
    /// What the in-flight limit adapts to.
    pub utilization: Arc<Utilization>,
    /// The class of each route.
    pub class_of: ClassOf,
}

/// The middleware of one server. [`crate::http::finish`] puts it around the routes; a clone shares limit and metrics.
#[derive(Clone)]
pub struct EdgeLayer(pub(super) &'static Shared);

pub(super) struct Shared {
    pub(super) service: &'static str,
    pub(super) request_timeout: Duration,
    pub(super) in_flight: InFlightLimit,
    /// `None`: all requests are alike, and the in-flight limit is fixed.
    levels: Option<Arc<Levels>>,
    pub(super) routes: Routes,
    pub(super) refusals: Refusals,
    sampling: Sampling,
}

impl EdgeLayer {
    /// The middleware of the server that metrics call `service`, with a fixed in-flight limit. To be called once per
    /// server: its state lives as long as the process.
    pub fn new(service: &'static str, limits: &HttpLimits, telemetry: &Telemetry) -> Self {
        Self::leak(service, limits, telemetry, |_, _| Class::Scan, None)
    }

    /// The same with levels and classes, and an in-flight limit that adapts, until the soft stop, up to
    /// `max_in_flight`.
    pub fn ranked(
        service: &'static str,
        limits: &HttpLimits,
        telemetry: &Telemetry,
        ranking: Ranking,
        lifecycle: &Lifecycle,
    ) -> Self {
        let Ranking { levels, utilization, class_of } = ranking;
        let Self(shared) = Self::leak(service, limits, telemetry, class_of, Some(levels));
        shared.refusals.register();
        lifecycle.spawn_until_stop("in-flight limit", async move {
            let mut ticks = tokio::time::interval(ADAPT_EVERY);
            loop {
                ticks.tick().await;
                shared.in_flight.adapt(utilization.queue_delay());
            }
        });
        Self(shared)
    }

    fn leak(
        service: &'static str,
        limits: &HttpLimits,
        telemetry: &Telemetry,
        class_of: ClassOf,
        levels: Option<Arc<Levels>>,
    ) -> Self {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            service,
            request_timeout: limits.request_timeout,
            in_flight: InFlightLimit::new(limits.max_in_flight.get()),
            levels,
            routes: Routes::new(service, class_of),
            refusals: Refusals::new(service),
            sampling: telemetry.sampling(),
        }));
        // Read at each scrape: a gauge that every request changes would be one more contended cache line.
        telemetry.metrics().before_scrape(move || {
            let gauge = |requests: usize| u32::try_from(requests).unwrap_or(u32::MAX);
            let in_flight = &shared.in_flight;
            metrics::gauge!("http_requests_in_flight", "service" => shared.service).set(gauge(in_flight.waiting()));
            metrics::gauge!("http_in_flight_limit", "service" => shared.service).set(gauge(in_flight.limit()));
        });
        Self(shared)
    }

    /// The middleware around a service outside any [`axum::Router`], such as a hot path that is answered before
    /// routing. `route` labels its requests in metrics.
    pub fn around<S>(&self, route: &'static str, inner: S) -> Edge<S> {
        Edge { inner, shared: self.0, route: Some(self.0.routes.get(route)), first: Arc::default() }
    }

    /// The same for answers that are given without hyper. `handler` writes the whole answer, or leaves the request before
    /// it has counted or taken anything.
    pub fn direct<F>(&self, route: &'static str, handler: F) -> Arc<dyn Direct>
    where
        F: Fn(&Known<'_>, &mut Answer) -> Handled + Send + Sync + 'static,
    {
        Arc::new(DirectEdge { shared: self.0, route: self.0.routes.get(route), handler })
    }
}

impl Shared {
    pub(super) fn level(&self) -> Level {
        self.levels.as_ref().map_or(Level::Normal, |levels| levels.in_force())
    }

    /// Why a request is refused before anything is done for it.
    pub(super) fn refuses(&self, class: Class, level: Level) -> Option<Refusal> {
        if class.is_refused_at(level) {
            return Some(Refusal::Level);
        }
        // One that memory answers, or a waiting room, takes no place from anyone.
        let may_come_in = class.is_usually_answered_at_once();
        (!may_come_in && !self.in_flight.has_room_for(class)).then_some(Refusal::Full)
    }

    pub(super) fn span(&self, headers: &HeaderMap, route: &Route, series: &Series, id: &str) -> Option<Span> {
        self.sampling.span(headers, series.method, &route.path, id)
    }

    /// The line of the access log.
    pub(super) fn log(&self, route: &Route, method: &str, status: u16, elapsed: Duration, id: &str) {
        tracing::debug!(
            service = self.service,
            method,
            route = &*route.path,
            status,
            elapsed_us = elapsed.as_micros(),
            request_id = id,
            "answered"
        );
    }
}

/// Adds an answer to its span.
pub(super) fn describe(span: &Span, status: u16, cache_status: Option<&HeaderValue>) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    // One of few texts: see the handlers that set `Cache-Status`.
    if let Some(outcome) = cache_status.map(text) {
        span.record("cache.status", outcome);
    }
}

pub(super) fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// `Yima-Level`, from level 1 on.
pub(super) fn level_field(level: Level) -> Option<HeaderValue> {
    (level != Level::Normal).then(|| u16::from(level.number()).into())
}
