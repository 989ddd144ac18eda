//! Sends spans to an OpenTelemetry collector, over OTLP on plain HTTP: the collector runs beside the process and does
//! TLS from there on.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;

/// Time to send one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends batches of spans to `url`.
pub(super) fn provider(url: &str, service_name: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let client =
        OnRuntime { runtime: Handle::current(), client: HyperClient::with_default_connector(EXPORT_TIMEOUT, None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(url)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(TelemetryError::Endpoint)?;
    let resource = Resource::builder().with_service_name(service_name.to_owned()).build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_sampler(Requests)
        .build())
}

/// Takes the spans of yima's own crates and the log lines within them, from level info on; each costs only during a
/// traced request. Spans and lines of libraries are left out: the database's driver repeats warnings that quote
/// requests with their keys.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("yima"))
        .with_filter(Targets::new().with_target("yima", LevelFilter::INFO))
}

/// The exporter has a thread of its own, without a runtime; its requests run on the process' runtime.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

/// Keeps the span of a traced request, the spans that apply what it published, and all spans below these. So a span in
/// an untraced request, or outside any, does not become the root of a trace.
#[derive(Clone, Debug)]
struct Requests;

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        kind: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let below = parent.is_some_and(|context| context.span().span_context().is_sampled());
        let begins = matches!(kind, SpanKind::Server | SpanKind::Consumer);
        let decision = if below || begins { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}
