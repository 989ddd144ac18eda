//! What checkpoints of each role are shown of a person, and sessions by the scopes of their tokens.

use serde_json::{Value, json};
use yima_schema::event::{EventData, TestKind, TestOutcome};
use yima_schema::time::HOUR;
use yima_service::jwt::Claims;

use super::phones::by_agency;
use super::*;

async fn body(answer: Response) -> Value {
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_turnstile_gets_the_verdict_a_guard_the_person_and_a_hospital_the_times_of_tests() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "Phone").await;
    let mut tested =
        by_agency("t-1", EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative });
    tested.event.occurred_at = now().minus(HOUR);
    node.show_written_by(&citizen, &[tested]);
    let code = node.code(&citizen).await;
    let of = async |role| body(node.scan(&node.checkpoint_of_role(role), &code, None).await).await;

    let turnstile = of(ScanRole::Turnstile).await;
    assert_eq!((&turnstile["verdict"], &turnstile["reason"]), (&json!("pass"), &json!("green")));
    for field in ["identity", "colour", "vaccination"] {
        assert!(turnstile[field].is_null(), "{field}");
    }
    assert_eq!(turnstile["tests"], json!([]));

    let (guard, hospital) = (of(ScanRole::Guard).await, of(ScanRole::Hospital).await);
    assert!(guard["identity"]["document"].is_string() && guard["colour"] == hospital["colour"]);
    let test = |sampled_at: Value, agency: Value| json!([{ "test": "nucleic_acid", "result": "negative", "sampled_at": sampled_at, "agency": agency }]);
    assert_eq!(guard["tests"], test(Value::Null, Value::Null));
    assert_eq!(hospital["tests"], test(json!(now().minus(HOUR).to_string()), json!("lab-7")));

    // A machine cannot compare the document that a printed code asks for.
    let (_, printed) = node.json("GET", "/v1/paper", &citizen, &[], Value::Null).await;
    let answer =
        node.scan(&node.checkpoint_of_role(ScanRole::Turnstile), printed["code"].as_str().unwrap(), None).await;
    let judged = body(answer).await;
    assert_eq!((&judged["verdict"], &judged["reason"]), (&json!("check"), &json!("paper_green")));
    assert!(!phone.is_empty());
}

#[tokio::test]
async fn the_role_of_a_session_is_the_one_with_the_most_rights_in_the_scope() {
    let node = Node::start().await;
    for (scope, role, looks_up) in [
        ("scan", "guard", false),
        ("scan:turnstile", "turnstile", false),
        ("scan:turnstile scan:document", "turnstile", false),
        ("scan scan:turnstile", "guard", false),
        ("scan:hospital scan:document", "hospital", true),
    ] {
        let claims = Claims { scope: scope.into(), checkpoint: Some("gate-1".into()), ..Claims::default() };
        let token = node.issuer.issue(&claims, DAY);
        let (status, body) = node.post("/v1/sessions", &format!("Bearer {token}"), json!({})).await;
        assert_eq!(status, StatusCode::OK, "{scope}: {body}");
        let checkpoint = &body["checkpoint"];
        assert_eq!(
            (&checkpoint["role"], &checkpoint["looks_up_documents"]),
            (&json!(role), &json!(looks_up)),
            "{scope}"
        );
    }
}
