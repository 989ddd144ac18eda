//! hyper alone is the oracle of what is answered without it: both ways give the same bytes.

use std::collections::VecDeque;

use axum::Router;
use axum::http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::places::Places;
use super::super::request_id::X_REQUEST_ID;
use super::super::{Fields, HttpLimits, ProblemResponse, head};
use super::*;

const TAG: &str = "\"t\"";
const BODY: &str = "{\"colour\":\"green\"}";

/// The session of display requests that are answered, with 304 if they have the tag.
fn status(authorization: Option<&[u8]>, if_none_match: Option<&[u8]>) -> StatusCode {
    match (authorization, if_none_match) {
        (Some(b"Bearer good"), Some(tag)) if tag == TAG.as_bytes() => StatusCode::NOT_MODIFIED,
        (Some(b"Bearer good"), _) => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn display(request: HeaderMap) -> Response {
    let field = |name| request.get(name).map(HeaderValue::as_bytes);
    match status(field(AUTHORIZATION), field(IF_NONE_MATCH)) {
        StatusCode::OK => ([(ETAG, TAG)], [(X_REQUEST_ID, "0123456789abcdef")], BODY).into_response(),
        StatusCode::NOT_MODIFIED => (StatusCode::NOT_MODIFIED, [(ETAG, TAG)]).into_response(),
        other => other.into_response(),
    }
}

struct Displays;

impl Direct for Displays {
    fn answer(&self, request: &Known<'_>, answer: &mut Answer) -> bool {
        let status = status(Some(request.authorization), request.if_none_match);
        if request.path != "/v1/display" || status == StatusCode::UNAUTHORIZED {
            return false;
        }
        answer.begin(status);
        if status == StatusCode::OK {
            answer.insert(axum::http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        answer.insert(ETAG, HeaderValue::from_static(TAG));
        answer.end(BODY.as_bytes());
        true
    }
}

fn app() -> Router {
    Router::new()
        .route("/v1/display", get(display))
        .route("/echo", any(async |method: Method, body: Bytes| format!("{method} {body:?}")))
        .layer(axum::middleware::from_fn(
            async |request: Request<Body>, next: axum::middleware::Next| match head::check(&request) {
                Ok(()) => next.run(request).await,
                Err(problem) => ProblemResponse::from(problem).into_response(),
            },
        ))
}

/// A client that sends one piece after the other, each as one read, and then closes its side.
struct Client {
    pieces: VecDeque<Vec<u8>>,
    waits: bool,
    received: Arc<parking_lot::Mutex<Vec<u8>>>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Not all at once.
        let taken = buf.len().min(100);
        self.received.lock().extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the client receives, without dates and ids, and the number of requests.
async fn answers(app: &Router, pieces: &[Vec<u8>], direct: Option<Arc<dyn Direct>>, linger: Duration) -> (String, u64) {
    let received = Arc::<parking_lot::Mutex<Vec<u8>>>::default();
    let client = Client { pieces: pieces.to_vec().into(), waits: false, received: Arc::clone(&received) };
    let (mut http, limits) = (http1::Builder::new(), HttpLimits::default());
    http.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(limits.header_read_timeout);
    let protocol = Protocol { http, direct, hsts: None, idle: limits.header_read_timeout, linger };
    let lifecycle = Lifecycle::default();
    let place = Places::new(&limits, lifecycle.soft().clone()).enter(None).unwrap();
    let activity = Arc::clone(&place.activity);
    serve(client, app.clone(), Arc::new(protocol), place, lifecycle).await;
    let mut text = String::from_utf8_lossy(&received.lock()).into_owned();
    for (name, length) in [("date: ", 29), ("x-request-id: ", 16)] {
        let starts: Vec<_> = text.match_indices(name).map(|(at, _)| at + name.len()).collect();
        starts.into_iter().for_each(|at| text.replace_range(at..at + length, &"-".repeat(length)));
    }
    (text, activity.request())
}

const FIELDS: [&str; 22] = [
    "host: yima.example",
    "Host: [::1]:80",
    "host: a b",
    "authorization: Bearer good",
    "authorization: Bearer good ",
    "authorization: Bearer bad",
    "if-none-match: \"t\"",
    "if-none-match: \"u\"",
    "accept: */*",
    "user-agent: \t x",
    "connection: keep-alive",
    "connection: close",
    "connection: upgrade",
    "upgrade: h2c",
    "content-length: 3",
    "content-length: 0",
    "transfer-encoding: chunked",
    "te: chunked",
    "expect: 100-continue",
    "x-request-id: 0123456789abcdef",
    "cookie: \u{5065}",
    "sec-fetch-mode:cors",
];

const LINES: [&str; 7] = [
    "POST /echo HTTP/1.1",
    "HEAD /v1/display HTTP/1.1",
    "GET /v1/display HTTP/1.0",
    "GET / HTTP/1.1",
    "GET /v1/display?a HTTP/1.1",
    "GET http://yima.example/v1/display HTTP/1.1",
    "get * HTTP/1.1",
];

/// A request: half of them of the known shape, the others with some faults.
fn request(rng: &mut StdRng) -> Vec<u8> {
    let pick = |rng: &mut StdRng, all: &[&'static str]| all[rng.random_range(0..all.len())];
    let mut lines = vec!["GET /v1/display HTTP/1.1", "Host: yima.example", "Authorization: Bearer good"];
    if rng.random() {
        let harmless = pick(rng, &["Accept: */*", "If-None-Match: \"t\"", "if-none-match: \"u\"", "dnt:1"]);
        lines.insert(rng.random_range(1..=lines.len()), harmless);
        return (lines.join("\r\n") + "\r\n\r\n").into_bytes();
    }
    if rng.random() {
        lines[0] = pick(rng, &LINES);
    }
    for _ in 0..rng.random_range(0..4) {
        lines.insert(rng.random_range(1..=lines.len()), pick(rng, &FIELDS));
    }
    let mut bytes =
        (lines.join("\r\n") + "\r\n\r\n" + pick(rng, &["", "", "abc", "3\r\nabc\r\n0\r\n\r\n"])).into_bytes();
    for _ in 0..rng.random_range(0..3) {
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[at] = rng.random(),
            1 => bytes.insert(at, b"\r\n :\0a/"[rng.random_range(0..7)]),
            2 => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

/// `YIMA_REQUESTS` connections, 20,000 unless given. More: `tests/soak direct`.
#[tokio::test]
async fn both_ways_give_the_same_answers() {
    let app = app();
    let connections = std::env::var("YIMA_REQUESTS").map_or(20_000, |count| count.parse().unwrap());
    let (mut rng, mut direct_requests) = (StdRng::seed_from_u64(17), 0);
    for n in 0..connections {
        let mut pieces: Vec<_> = (0..rng.random_range(1..4)).map(|_| request(&mut rng)).collect();
        if rng.random_range(0..8) == 0 {
            // In two reads.
            let rest = pieces[0].len() / 2;
            let rest = pieces[0].split_off(rest);
            pieces.insert(1, rest);
        }
        let counting = Arc::new(Counting::default());
        let linger = if rng.random() { Duration::ZERO } else { Duration::MAX };
        let (expected, requests) = answers(&app, &pieces, None, linger).await;
        let (actual, direct) = answers(&app, &pieces, Some(counting.clone()), linger).await;
        let shown = || pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect::<Vec<_>>();
        assert_eq!(actual, expected, "connection {n}: {:#?}", shown());
        assert_eq!(direct, requests, "connection {n}: {:#?}", shown());
        direct_requests += counting.0.load(std::sync::atomic::Ordering::Relaxed);
    }
    // Or the test would compare hyper with itself.
    assert!(direct_requests > connections / 2, "{direct_requests} of {connections} connections");
}

#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU64);

impl Direct for Counting {
    fn answer(&self, request: &Known<'_>, answer: &mut Answer) -> bool {
        let answered = Displays.answer(request, answer);
        self.0.fetch_add(u64::from(answered), std::sync::atomic::Ordering::Relaxed);
        answered
    }
}
