//! A collector of OpenTelemetry's traces (OTLP over HTTP, protobuf) that keeps what it is sent.

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

/// Longer than it takes any span to come; only a failing test waits for it.
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
    spans: Vec<Collected>,
}

/// A span that came.
#[derive(Clone, Debug)]
pub struct Collected {
    /// `service.name` of who sent it.
    pub service: String,
    /// As it was sent.
    pub span: Span,
}

impl Collected {
    /// An attribute as text; empty if it has none of that name.
    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.span.attributes, name)
    }
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is no port or thread to be had.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be set so");
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().expect("a bound port"));
        let received: Arc<(Mutex<Received>, Condvar)> = Arc::default();
        let sink = Arc::clone(&received);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            while let Ok((stream, _)) = listener.accept().await {
                let sink = Arc::clone(&sink);
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(Arc::clone(&sink), request));
                    // A client that goes away is no fault.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, received, _runtime: runtime }
    }

    /// The settings of a process that sends here, as variables: soon, what callers ask for and of its own accord nothing.
    pub fn env<'a>(&'a self, service: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("YIMA_TELEMETRY__OTLP_ENDPOINT", &self.endpoint),
            ("YIMA_TELEMETRY__SERVICE_NAME", service),
            ("YIMA_TELEMETRY__SAMPLE_RATE", "0"),
            ("YIMA_TELEMETRY__TRUST_TRACEPARENT", "true"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]
    }

    /// Waits until `find` finds something among the spans that came.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&[Collected]) -> Option<T>) -> T {
        let (mut received, begun) = (self.received(), Instant::now());
        loop {
            if let Some(found) = find(&received.spans) {
                return found;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "no {what} among {:#?}", received.spans);
            received = self.received.1.wait_timeout(received, left).expect("no panic while it was held").0;
        }
    }

    /// The spans that came.
    pub fn spans(&self) -> Vec<Collected> {
        self.received().spans.clone()
    }

    /// Everything that came, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.received().bytes.clone()
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.0.lock().expect("no panic while it was held")
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
    let mut received = received.lock().expect("no panic while it was held");
    received.bytes.extend_from_slice(body);
    for of_process in request.resource_spans {
        let resource = of_process.resource.unwrap_or_default();
        let service = attribute(&resource.attributes, "service.name");
        let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| Collected { service: service.clone(), span }));
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
