//! Spans of traced requests reach the collector, and no other spans.

use axum::Router;
use axum::routing::get;
use yima_service::http::HttpLimits;

use crate::support::{SOON, send, shared, start};

const TRACED: [u8; 16] = [0x0a; 16];
const UNTRACED: [u8; 16] = [0x0b; 16];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_request_with_a_sampled_traceparent_is_traced_and_no_other() {
    let inner = async || {
        // A span below an untraced request must not become the root of a trace.
        tracing::info_span!(target: "yima_test", "inner_step").in_scope(|| "traced")
    };
    let server = start("traced", Router::new().route("/v1/jobs/{id}", get(inner)), &HttpLimits::default()).await;
    for (trace, flags) in [(UNTRACED, "00"), (TRACED, "01")] {
        let head = format!("GET /v1/jobs/secret HTTP/1.1\ntraceparent: 00-{}-00f067aa0ba902b7-{flags}", hex(&trace));
        assert_eq!(send(server.address, &head, "").await.status, 200);
    }
    let mut collected = shared().collected.lock().await;
    let mut all = Vec::new();
    while !contains(&all, &TRACED) {
        all.extend(tokio::time::timeout(SOON, collected.recv()).await.expect("no span arrived").unwrap());
    }
    assert!(contains(&all, b"/v1/jobs/{id}") && contains(&all, b"inner_step"));
    assert!(!contains(&all, &UNTRACED) && !contains(&all, b"secret"));
    let steps = all.windows(10).filter(|window| window == b"inner_step").count();
    assert_eq!(steps, 1, "one request was traced");
}
