//! Which requests are traced. A request that is not costs a comparison and, with tracing on, one header look-up.

use axum::http::{HeaderMap, HeaderValue, Request};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Decides and begins the spans of requests.
#[derive(Clone, Debug)]
pub struct Sampling {
    rate: Option<f64>,
    trusts_callers: bool,
}

impl Sampling {
    /// `rate` is the share of requests from 0 to 1; `None` is no tracing at all. `trusts_callers`: theirs are traces that ours belong to.
    pub(super) fn new(rate: Option<f64>, trusts_callers: bool) -> Self {
        Self { rate, trusts_callers }
    }

    /// The span of a request that is traced: a caller who is trusted said so (W3C Trace Context, `traceparent` with the sampled flag), or
    /// chance did.
    pub(crate) fn span<B>(
        &self,
        request: &Request<B>,
        method: &'static str,
        route: &str,
        id: &HeaderValue,
    ) -> Option<Span> {
        let rate = self.rate?;
        let given = self.trusts_callers && request.headers().contains_key("traceparent");
        let parent = given.then(|| caller(request.headers()));
        let asked = parent.as_ref().is_some_and(SpanContext::is_sampled);
        if !asked && rand::random::<f64>() >= rate {
            return None;
        }
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            cache.status = Empty,
            request_id = id.to_str().unwrap_or_default(),
        );
        if let Some(parent) = parent {
            // Fails only when the span is not one of ours to begin with.
            let _no_parent = span.set_parent(Context::new().with_remote_span_context(parent));
        }
        Some(span)
    }
}

/// Who calls, by its ids alone: `tracestate` is any text that somebody on the way wrote.
fn caller(headers: &HeaderMap) -> SpanContext {
    let given = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let given = given.span().span_context().clone();
    SpanContext::new(given.trace_id(), given.span_id(), given.trace_flags(), true, TraceState::default())
}
