//! From one trace to another: a span names itself in what it publishes, and whoever applies that links to it.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use yima_schema::change::SpanRef;

/// The ids of a span that is traced.
pub fn span_ref(span: &Span) -> Option<SpanRef> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let active = context.span();
    let ids = active.span_context();
    ids.is_sampled().then_some(SpanRef { trace: ids.trace_id().to_bytes(), span: ids.span_id().to_bytes() })
}

/// Says in `span`, before it is entered, that it goes on with what `spans` did, in whatever process they were.
pub fn link(span: &Span, spans: impl IntoIterator<Item = SpanRef>) {
    for SpanRef { trace, span: id } in spans {
        let (trace, id) = (TraceId::from_bytes(trace), SpanId::from_bytes(id));
        span.add_link(SpanContext::new(trace, id, TraceFlags::SAMPLED, true, TraceState::default()));
    }
}
