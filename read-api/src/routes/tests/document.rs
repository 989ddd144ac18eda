//! `POST /v1/scan` of an identity document.

use serde_json::{Value, json};
use yima_schema::subject::{Document, DocumentType};
use yima_store::VersionedView;

use super::*;

const NUMBER: &str = "610102199003070016";

async fn scan_document(node: &Node, bearer: &str) -> (StatusCode, Value) {
    node.post("/v1/scan", bearer, json!({ "document_type": "cn_resident_id", "document_number": NUMBER })).await
}

#[tokio::test]
async fn only_a_checkpoint_with_the_scope_may_scan_documents() {
    let node = Node::start().await;
    let (guard, other) = (node.checkpoint(true), node.guard());
    let (status, body) = scan_document(&node, &guard).await;
    assert_eq!(
        (status, &body["verdict"], &body["reason"]),
        (StatusCode::OK, &json!("check"), &json!("not_registered"))
    );
    assert!(body["identity"].is_null() && body["as_of"].is_string());

    let document = Document::new(DocumentType::CnResidentId, NUMBER).unwrap();
    let holder = node.app.pseudonyms.subject(&document);
    node.store.write(holder);
    node.app.views.apply(holder, VersionedView { version: Version(1), view: crate::cache::tests::store::view(holder) });
    let (status, body) = scan_document(&node, &guard).await;
    assert_eq!((status, &body["reason"]), (StatusCode::OK, &json!("not_registered"))); // a view without a timeline

    let (status, body) = scan_document(&node, &other).await;
    assert_eq!((status, &body["status"]), (StatusCode::FORBIDDEN, &json!(403)));
    assert!(body["detail"].as_str().unwrap().contains("scan:document"));
    assert_eq!(scan_document(&node, &node.citizen(1)).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn scans_of_documents_have_a_limit_of_their_own() {
    let node = Node::start().await;
    let guard = node.checkpoint(true);
    for _ in 0..10 {
        assert_eq!(scan_document(&node, &guard).await.0, StatusCode::OK);
    }
    assert_eq!(scan_document(&node, &guard).await.0, StatusCode::TOO_MANY_REQUESTS);
    let document = json!({ "document_type": "cn_resident_id", "document_number": NUMBER }).to_string();
    let other = node.checkpoint_named("gate-2", true);
    let mut answers = Vec::new();
    for bearer in [&other, &guard] {
        let request = Request::post("/v1/scan").header(AUTHORIZATION, bearer).header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(document.clone())).unwrap();
        answers.push(router(node.app.clone(), true).oneshot(request).await.unwrap());
    }
    let limits = |answer: &Response| {
        let values = answer.headers().get_all("ratelimit").iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let passed = limits(&answers[0]);
    assert!(passed[0].starts_with("\"scan\";r=99;") && passed[1].starts_with("\"document\";r=9;"), "{passed:?}");
    let refused = limits(&answers[1]);
    let retry_after = answers[1].headers()["retry-after"].to_str().unwrap();
    assert_eq!(refused, [format!("\"document\";r=0;t={retry_after}")]);
    // Codes are not affected.
    assert_eq!(node.scan(&guard, "x", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_invalid_combination_names_the_field() {
    let node = Node::start().await;
    for (body, pointer) in [
        (json!({}), "/code"),
        (json!({ "document_type": "passport" }), "/document_number"),
        (json!({ "document_number": "E1234567" }), "/document_type"),
        (json!({ "document_type": "passport", "document_number": "E1" }), "/document_number"),
        (json!({ "document_type": "licence", "document_number": "E1" }), "/document_type"),
        (json!({ "code": "x", "document_type": "passport" }), "/code"),
        (json!({ "code": "x", "document_number": "E1234567" }), "/code"),
    ] {
        let (status, answer) = node.post("/v1/scan", &node.checkpoint(true), body.clone()).await;
        assert_eq!((status, &answer["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!(pointer)), "{body}");
        assert!(!answer.to_string().contains("E1"), "{answer}");
    }
}
