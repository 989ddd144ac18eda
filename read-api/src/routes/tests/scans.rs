//! `POST /v1/scans`.

use bytes::Bytes;
use serde_json::{Value, json};
use yima_store::VersionedView;

use super::*;

async fn scans(node: &Node, bearer: &str, codes: &[&str]) -> (StatusCode, Value) {
    node.post("/v1/scans", bearer, json!({ "codes": codes })).await
}

#[tokio::test]
async fn each_code_gets_the_verdict_that_it_would_get_alone() {
    let node = Node::start().await;
    let guard = node.guard();
    let mut codes = Vec::new();
    for n in 1..=3 {
        node.store.write(subject(n));
        codes.push(node.code(&node.citizen(n)).await);
    }
    let mut alone = Vec::new();
    let scanned = [&*codes[0], "YM1:NOT A CODE", &codes[1], &codes[0], "", &codes[2]];
    for code in scanned {
        let answer = node.scan(&guard, code, None).await.into_body().collect().await.unwrap().to_bytes();
        alone.push(serde_json::from_slice::<Value>(&answer).unwrap());
    }
    let (status, together) = scans(&node, &guard, &scanned).await;
    assert_eq!((status, &together["results"]), (StatusCode::OK, &Value::Array(alone)));
}

#[tokio::test]
async fn a_code_whose_lookup_fails_has_a_problem_in_its_place() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.write(subject(2));
    let (first, second, guard) = (node.code(&node.citizen(1)).await, node.code(&node.citizen(2)).await, node.guard());
    // A change of the second that cannot be decoded: its view has to be loaded.
    node.app.views.apply(subject(2), VersionedView { version: Version(2), view: Bytes::from_static(b"?") });
    node.store.failing.store(true, Ordering::Relaxed);
    let (status, body) = scans(&node, &guard, &[&second, &first]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["results"][0], json!({ "problem": body["results"][0]["problem"] }));
    assert_eq!(body["results"][0]["problem"]["status"], 503);
    assert_eq!(body["results"][1]["verdict"], "check"); // a view without a timeline
}

#[tokio::test]
async fn each_code_counts_against_the_limit() {
    let node = Node::start().await;
    let careless = node.checkpoint_named("gate-2", false);
    for wrong in [0, 101] {
        let (status, body) = scans(&node, &careless, &vec!["x"; wrong]).await;
        assert_eq!((status, &body["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("/codes")));
    }
    assert_eq!(node.app.limits.scan.keys(), 1, "refused requests count too, before their bodies are read");
    let guard = node.guard();
    assert_eq!(scans(&node, &guard, &["x"; 100]).await.0, StatusCode::OK);
    assert_eq!(scans(&node, &guard, &["x"; 100]).await.0, StatusCode::TOO_MANY_REQUESTS);
    let (status, body) = scans(&node, &node.citizen(1), &["x"]).await;
    assert_eq!((status, &body["status"]), (StatusCode::FORBIDDEN, &json!(403)));
}
