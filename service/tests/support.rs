//! A server on port 0 and a client that writes raw requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use yima_service::http::{self, EdgeLayer, HttpLimits};
use yima_service::lifecycle::{Lifecycle, LifecycleConfig};
use yima_service::telemetry::{self, Telemetry, TelemetryConfig};

/// Longer than any step of a test takes; only a failing test waits for it.
pub const SOON: Duration = Duration::from_secs(20);

/// Telemetry is set up once per process; its exporter and the collector outlive each test's own runtime.
pub struct Shared {
    pub telemetry: Telemetry,
    pub collected: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    _runtime: Runtime,
}

pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, collected) = mpsc::unbounded_channel();
        let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        collector.set_nonblocking(true).unwrap();
        let address = collector.local_addr().unwrap();
        let _entered = runtime.enter();
        let app = Router::new().route(
            "/v1/traces",
            axum::routing::post(async move |body: axum::body::Bytes| drop(sender.send(body.to_vec()))),
        );
        let life = Lifecycle::default();
        runtime.spawn(http::serve(
            TcpListener::from_std(collector).unwrap(),
            None,
            app,
            None,
            &HttpLimits::default(),
            &life,
        ));
        let config = TelemetryConfig {
            log: "off".to_owned(),
            otlp_endpoint: Some(format!("http://{address}/v1/traces")),
            sample_rate: 0.0,
            trust_traceparent: true,
            ..TelemetryConfig::default()
        };
        // The hook that `init` sets hides the message of a failing assertion.
        let hook = std::panic::take_hook();
        let telemetry = telemetry::init(&config).unwrap();
        std::panic::set_hook(hook);
        Shared { telemetry, collected: tokio::sync::Mutex::new(collected), _runtime: runtime }
    })
}

pub struct Server {
    pub address: SocketAddr,
    pub life: Lifecycle,
}

/// Serves `app` inside the middleware; `service` labels its metrics.
pub async fn start(service: &'static str, app: Router, limits: &HttpLimits) -> Server {
    let app = http::finish(app, &EdgeLayer::new(service, limits, &shared().telemetry));
    start_bare(app, limits).await
}

pub async fn start_bare(app: Router, limits: &HttpLimits) -> Server {
    let config = LifecycleConfig { drain_wait: Duration::ZERO, stop_deadline: SOON };
    let life = Lifecycle::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    life.spawn_critical("http", http::serve(listener, None, app, None, limits, &life));
    Server { address, life }
}

/// A handler that signals when a request has reached it, and answers once the gate is open.
#[derive(Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub fn new() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    pub async fn pass(self) -> &'static str {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        "passed"
    }

    pub async fn reached(&self) {
        tokio::time::timeout(SOON, self.reached.acquire())
            .await
            .expect("the handler was not reached")
            .unwrap()
            .forget();
    }

    pub fn open(&self) {
        self.open.add_permits(1);
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    /// Checks that the answer is a problem document of its status, and returns its `type`.
    pub fn problem(&self) -> String {
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.headers.get("cache-control").map(String::as_str), Some("no-store"), "{self:?}");
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], self.status, "{self:?}");
        document["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

/// Sends `head` (request line and headers, lines ending in `\n`) and `body` on a new connection.
pub async fn send(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = head.trim_end().replace('\n', "\r\n");
    let text = format!("{head}\r\nHost: test\r\nConnection: close\r\n\r\n{body}");
    // The server may answer and close before it has read everything.
    let _all_or_part = stream.write_all(text.as_bytes()).await;
    answer(&mut stream).await
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1"), "").await
}

/// Reads until the server closes the connection; panics if it does not.
pub async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is a close too.
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await;
    let _end_or_reset = read.expect("the server did not close");
    String::from_utf8(bytes).unwrap()
}

pub async fn answer(stream: &mut TcpStream) -> Answer {
    let text = until_closed(stream).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}
