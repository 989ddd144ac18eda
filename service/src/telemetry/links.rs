//! Links between traces: a published change carries the ids of its span, and the span that applies the change links to
//! it.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use yima_schema::change::SpanRef;

/// The ids of a span, if it is traced.
pub fn span_ref(span: &Span) -> Option<SpanRef> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let active = context.span();
    let ids = active.span_context();
    ids.is_sampled().then_some(SpanRef { trace: ids.trace_id().to_bytes(), span: ids.span_id().to_bytes() })
}

/// Links `span`, before it is entered, to `spans`, whatever their process.
pub fn link(span: &Span, spans: impl IntoIterator<Item = SpanRef>) {
    for SpanRef { trace, span: id } in spans {
        let (trace, id) = (TraceId::from_bytes(trace), SpanId::from_bytes(id));
        span.add_link(SpanContext::new(trace, id, TraceFlags::SAMPLED, true, TraceState::default()));
    }
}
