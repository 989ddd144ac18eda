//! Every refusal is a problem document without internals.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use yima_service::http::body::{content_type, json, read_body};
use yima_service::http::{HttpLimits, ProblemResponse};

use crate::support::{Server, get as get_from, send, start};

async fn numbers(headers: HeaderMap, body: Body) -> Result<String, ProblemResponse> {
    content_type(&headers, &["application/json"])?;
    let bytes = read_body(body, 100, Duration::from_secs(5)).await?;
    let received: Vec<u8> = json(&bytes)?;
    Ok(format!("{} numbers", received.len()))
}

async fn server(service: &'static str) -> Server {
    let panics = async || -> &'static str { panic!("internal words") };
    let app = Router::new()
        .route("/numbers", post(numbers).put(numbers))
        .route("/panics", get(panics))
        .route("/hello", get(async || "hello"));
    start(service, app, &HttpLimits::default()).await
}

#[tokio::test]
async fn an_unknown_path_is_404_and_another_method_405() {
    let server = server("unrouted").await;
    let missing = get_from(server.address, "/no/610102199003070016").await;
    assert_eq!((missing.status, missing.problem().as_str()), (404, "not-found"));
    assert!(!missing.body.contains("6101"), "{missing:?}");
    let method = get_from(server.address, "/numbers").await;
    assert_eq!((method.status, method.problem().as_str()), (405, "method-not-allowed"));
    let mut allowed: Vec<_> = method.headers["allow"].split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["POST", "PUT"]);
}

#[tokio::test]
async fn a_body_too_large_of_another_type_or_not_json_is_refused() {
    let server = server("bodies").await;
    let post = async |headers: &str, body: &str| {
        send(server.address, &format!("POST /numbers HTTP/1.1\n{headers}"), body).await
    };
    // 413 comes before the body does.
    let announced = post("Content-Type: application/json\nContent-Length: 101", "").await;
    assert_eq!((announced.status, announced.problem().as_str()), (413, "too-large"));
    let chunk = format!("65\r\n{}\r\n0\r\n\r\n", "1".repeat(101));
    let chunked = post("Content-Type: application/json\nTransfer-Encoding: chunked", &chunk).await;
    assert_eq!((chunked.status, chunked.problem().as_str()), (413, "too-large"));
    let other = post("Content-Type: text/plain\nContent-Length: 2", "[]").await;
    assert_eq!((other.status, other.problem().as_str()), (415, "unsupported-media-type"));
    let broken = post("Content-Type: application/json\nContent-Length: 2", "[1").await;
    assert_eq!((broken.status, broken.problem().as_str()), (400, "malformed"));
    let invalid = post("Content-Type: application/json\nContent-Length: 13", "[1,\"hunter2\"]").await;
    assert_eq!((invalid.status, invalid.problem().as_str()), (400, "invalid"));
    assert!(invalid.body.contains("\"/1\"") && !invalid.body.contains("hunter"), "{invalid:?}");
    let fits = post("Content-Type: application/json\nContent-Length: 5", "[1,2]").await;
    assert_eq!((fits.status, fits.body.as_str()), (200, "2 numbers"));
}

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_500_and_the_server_goes_on() {
    let server = server("panics").await;
    let panicked = get_from(server.address, "/panics").await;
    assert_eq!((panicked.status, panicked.problem().as_str()), (500, "internal"));
    assert!(!panicked.body.contains("internal words"), "{panicked:?}");
    assert_eq!(get_from(server.address, "/hello").await.status, 200);
}

#[tokio::test]
async fn a_valid_request_id_is_returned_and_any_other_replaced() {
    let server = server("request_id").await;
    let given = send(server.address, "GET /hello HTTP/1.1\nX-Request-Id: abc.DEF-1_2", "").await;
    assert_eq!(given.headers["x-request-id"], "abc.DEF-1_2");
    let bad = send(server.address, "GET /hello HTTP/1.1\nX-Request-Id: <script>", "").await;
    assert_eq!(bad.headers["x-request-id"].len(), 16);
    let (one, two) = (get_from(server.address, "/none").await, get_from(server.address, "/panics").await);
    assert_ne!(one.headers["x-request-id"], two.headers["x-request-id"]);
}
