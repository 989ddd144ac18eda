//! A collector of OpenTelemetry's traces (OTLP over HTTP, protobuf) that keeps every span it receives.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::runtime::Runtime;

/// Longer than any span takes to arrive; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running collector. It ends when it is dropped.
pub struct Collector {
    endpoint: String,
    received: Arc<(Mutex<Received>, Condvar)>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    spans: Vec<CollectedSpan>,
}

/// A span that the collector received.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// `service.name` of its sender.
    pub service: String,
    /// The span as it was sent.
    pub span: Span,
}

impl CollectedSpan {
    /// An attribute as text; empty if the span has none of this name.
    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.span.attributes, name)
    }
}

impl Collector {
    /// Starts a collector on a free port.
    ///
    /// # Panics
    /// When no port or thread is available.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("a bound port"));
        let received: Arc<(Mutex<Received>, Condvar)> = Arc::default();
        let sink = Arc::clone(&received);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            while let Ok((stream, _)) = listener.accept().await {
                let sink = Arc::clone(&sink);
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(Arc::clone(&sink), request));
                    // A client may close its connection at any time.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, received, _runtime: runtime }
    }

    /// The variables of a process that sends its spans here: without delay, and only those of requests that are traced
    /// by their caller.
    pub fn env<'a>(&'a self, service: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("YIMA_TELEMETRY__OTLP_ENDPOINT", &self.endpoint),
            ("YIMA_TELEMETRY__SERVICE_NAME", service),
            ("YIMA_TELEMETRY__SAMPLE_RATE", "0"),
            ("YIMA_TELEMETRY__TRUST_TRACEPARENT", "true"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]
    }

    /// Waits until `find` returns something for the received spans.
    ///
    /// # Panics
    /// When it returns nothing within 30 s.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&[CollectedSpan]) -> Option<T>) -> T {
        let (mut received, start) = (self.received(), Instant::now());
        loop {
            if let Some(found) = find(&received.spans) {
                return found;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "no {what} among {:#?}", received.spans);
            received = self.received.1.wait_timeout(received, left).expect("no thread panicked with the lock").0;
        }
    }

    /// The received spans.
    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.received().spans.clone()
    }

    /// The bodies of all requests, as received.
    pub fn bytes(&self) -> Vec<u8> {
        self.received().bytes.clone()
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.0.lock().expect("no thread panicked with the lock")
    }
}

async fn take(
    sink: Arc<(Mutex<Received>, Condvar)>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let status = match request.into_body().collect().await {
        Ok(body) => keep(&sink, &body.to_bytes()),
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

fn keep((received, arrived): &(Mutex<Received>, Condvar), body: &[u8]) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let mut received = received.lock().expect("no thread panicked with the lock");
    received.bytes.extend_from_slice(body);
    for of_process in request.resource_spans {
        let resource = of_process.resource.unwrap_or_default();
        let service = attribute(&resource.attributes, "service.name");
        let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| CollectedSpan { service: service.clone(), span }));
    }
    arrived.notify_all();
    StatusCode::OK
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name).and_then(|found| found.value.as_ref());
    let value = found.and_then(|value| value.value.as_ref());
    if let Some(Value::IntValue(number)) = value {
        return number.to_string();
    }
    if let Some(Value::StringValue(text)) = value { text.clone() } else { String::new() }
}
