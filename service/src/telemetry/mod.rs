//! Logs, metrics and traces: set up once, flushed at the end.

mod description;
mod descriptions;
mod links;
mod metrics;
mod process;
mod sampling;
mod traces;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub use description::{MetricDescription, MetricKind, describe, reference};
pub use descriptions::METRICS;
pub use links::{link, span_ref};
pub use metrics::Metrics;
pub use sampling::Sampling;

use crate::config;
use crate::lifecycle::Lifecycle;

/// Logs and traces.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct TelemetryConfig {
    /// `service.name` of traces (OpenTelemetry resource). Different names distinguish writer and read node.
    pub service_name: String,
    /// Filter of tracing-subscriber (`info`, `info,yima_service=debug`). The variable `YIMA_LOG` overrides it. The
    /// access log is at `debug`. `scylla` is the CQL driver, whose connections repeat a node's warnings: those quote
    /// requests with their keys, which are subject ids.
    pub log: String,
    /// `text`, or `json`: one object a line. Both go to standard error.
    pub log_format: LogFormat,
    /// Receiver of spans: OTLP over plain HTTP, whole URL (`http://localhost:4318/v1/traces`). Without it there is no
    /// tracing. [What is traced](operations/observability.md#traces).
    pub otlp_endpoint: Option<String>,
    /// Share of requests traced without a caller's `traceparent`, 0 to 1. Used with `otlp_endpoint`.
    pub sample_rate: f64,
    /// Whether a request whose `traceparent` has the sampled flag is traced, as part of its caller's trace. Set it only
    /// where a gateway drops the public's `traceparent`: otherwise strangers decide what is traced. `tracestate` is
    /// never used.
    pub trust_traceparent: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            service_name: "yima".to_owned(),
            log: "info,scylla=warn,scylla::network::connection=error".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            sample_rate: 0.001,
            trust_traceparent: false,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines of text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log` or `YIMA_LOG` is no filter.
    #[error("telemetry.log: expected a filter such as info or info,yima_service=debug")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// `otlp_endpoint` is no URL to which spans can be sent.
    #[error("telemetry.otlp_endpoint: expected a URL such as http://localhost:4318/v1/traces")]
    Endpoint(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Logs or metrics of this process are set up already.
    #[error("telemetry is set up twice")]
    Twice,
}

/// The telemetry of a process. To be kept until the end; then [`Self::shutdown`].
pub struct Telemetry {
    metrics: Metrics,
    sampling: Sampling,
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, metrics and traces of the process, once; within a tokio runtime, which the exporter of spans uses.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = std::env::var("YIMA_LOG").unwrap_or_else(|_| config.log.clone());
    let filter = EnvFilter::builder().parse(filter).map_err(TelemetryError::Filter)?;
    let provider =
        config.otlp_endpoint.as_deref().map(|url| traces::provider(url, &config.service_name)).transpose()?;
    let lines = match config.log_format {
        LogFormat::Text => fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let spans = provider.as_ref().map(traces::layer);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans);
    subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
    log_panics();
    let metrics = Metrics::install().map_err(|_| TelemetryError::Twice)?;
    let sampling = Sampling::new(provider.is_some().then_some(config.sample_rate), config.trust_traceparent);
    Ok(Telemetry { metrics, sampling, provider })
}

impl Telemetry {
    /// The metrics of the admin port.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Decides which requests are traced.
    pub fn sampling(&self) -> Sampling {
        self.sampling.clone()
    }

    /// Folds the samples of histograms every five seconds until the soft stop; without it they grow until the next
    /// scrape.
    pub fn upkeep(&self, lifecycle: &Lifecycle) {
        let metrics = self.metrics.clone();
        lifecycle.spawn_until_stop("metrics_upkeep", async move {
            let mut every = tokio::time::interval(Duration::from_secs(5));
            loop {
                every.tick().await;
                metrics.fold();
            }
        });
    }

    /// Sends the remaining spans; waits up to five seconds.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        // It blocks its thread until the exporter, which uses this runtime, is done.
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(5))).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("some spans could not be sent before the end; they are lost");
        }
    }
}

/// Logs the source position of a panic, but not its message: slicing a text at the wrong place, for one, panics with
/// the text.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
}
