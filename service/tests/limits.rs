//! Clients that are slow, greedy or many.

use std::num::NonZeroUsize;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use yima_service::http::body::read_body;
use yima_service::http::{HttpLimits, ProblemResponse, deadline};

use crate::support::{Gate, SOON, answer, get as get_from, send, shared, start, until_closed};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn hello() -> Router {
    Router::new().route("/hello", get(async || "hello"))
}

#[tokio::test]
async fn a_client_with_unfinished_headers_is_cut_off() {
    let limits = HttpLimits { header_read_timeout: Duration::from_millis(100), ..HttpLimits::default() };
    let server = start("slow_headers", hello(), &limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: te").await.unwrap();
    let text = until_closed(&mut stream).await;
    assert!(!text.contains("200 OK"), "{text}");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let read =
        async |body: Body| read_body(body, 1_000, Duration::from_millis(200)).await.map_err(ProblemResponse::from);
    let server = start("slow_body", Router::new().route("/events", post(read)), &HttpLimits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /events HTTP/1.1\r\nHost: test\r\nContent-Length: 900\r\n\r\n").await.unwrap();
    let (mut read, mut write) = stream.split();
    let trickle = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut text = vec![0; 4_096];
    let length = tokio::select! {
        length = tokio::io::AsyncReadExt::read(&mut read, &mut text) => length.unwrap(),
        () = trickle => panic!("closed without an answer"),
        () = tokio::time::sleep(SOON) => panic!("not cut off"),
    };
    let text = String::from_utf8_lossy(&text[..length]);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("problems/timeout"), "{text}");
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let server = start("many_headers", hello(), &HttpLimits::default()).await;
    let with = |count: usize| (0..count).fold("GET /hello HTTP/1.1".to_owned(), |head, n| format!("{head}\nX-{n}: 1"));
    assert_eq!(send(server.address, &with(90), "").await.status, 200);
    assert_eq!(send(server.address, &with(101), "").await.status, 431);
    let long = format!("GET /hello HTTP/1.1\nX-Long: {}", "x".repeat(20_000));
    assert_eq!(send(server.address, &long, "").await.status, 431);
}

#[tokio::test]
async fn a_handler_sees_the_deadline_of_its_request() {
    let seen = async || {
        let at_first = deadline::current();
        tokio::task::yield_now().await;
        let later = deadline::current();
        let elsewhere = tokio::spawn(async { deadline::current() }).await.unwrap();
        assert_eq!((later, elsewhere), (at_first, None));
        at_first.map_or("none".to_owned(), |at| at.duration_since(Instant::now()).as_secs().to_string())
    };
    let app = Router::new().route("/seen", get(seen));
    for (name, timeout, expected) in
        [("deadline", Duration::from_secs(20), "19"), ("no_deadline", Duration::MAX, "none")]
    {
        let server = start(name, app.clone(), &HttpLimits { request_timeout: timeout, ..HttpLimits::default() }).await;
        assert_eq!(get_from(server.address, "/seen").await.body, expected);
    }
}

#[tokio::test]
async fn a_request_over_the_in_flight_limit_is_refused_at_once() {
    let gate = Gate::new();
    let inside = gate.clone();
    // Counted when it first has to wait, which is before it reaches the gate.
    let wait = async move || {
        tokio::task::yield_now().await;
        inside.pass().await
    };
    let app = hello().route("/wait", get(wait));
    let server = start("in_flight", app, &HttpLimits { max_in_flight: ONE, ..HttpLimits::default() }).await;
    let first = tokio::spawn(get_owned(server.address, "/wait"));
    gate.reached().await;
    let refused = get_from(server.address, "/wait").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "unavailable"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(get_from(server.address, "/hello").await.status, 200, "what is answered at once takes no place");
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    gate.open();
    assert_eq!(get_from(server.address, "/wait").await.status, 200, "its place is free again");
}

async fn get_owned(address: std::net::SocketAddr, path: &'static str) -> crate::support::Answer {
    get_from(address, path).await
}

#[tokio::test]
async fn a_connection_over_the_limit_is_answered_503() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = hello().route("/wait", get(async move || inside.pass().await));
    let server = start("connections", app, &HttpLimits { max_connections: ONE, ..HttpLimits::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    gate.reached().await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let refused = answer(&mut second).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (503, "1"));
    gate.open();
    assert_eq!(answer(&mut first).await.status, 200, "the first was not disturbed");
}

#[tokio::test]
async fn an_answer_over_the_deadline_becomes_503() {
    let app = hello().route("/stuck", get(async || std::future::pending::<()>().await));
    let limits = HttpLimits { request_timeout: Duration::from_millis(100), ..HttpLimits::default() };
    let server = start("deadline", app, &limits).await;
    let late = get_from(server.address, "/stuck").await;
    assert_eq!((late.status, late.problem().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_and_counts_as_499() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = hello().route("/wait", get(async move || inside.pass().await));
    let server = start("client_gone", app, &HttpLimits { max_in_flight: ONE, ..HttpLimits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    gate.reached().await;
    drop(stream);
    let counted = r#"http_requests_total{service="client_gone",method="GET",route="/wait",status="499"} 1"#;
    let seen = async {
        while !shared().telemetry.metrics().render().contains(counted) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("not counted");
    assert_eq!(get_from(server.address, "/hello").await.status, 200);
}
