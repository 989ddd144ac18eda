//! Codes of other systems: the answers that the checkpoint's page has to give without a network too.
//! `tests/vectors/foreign-offline.json`; `UPDATE_VECTORS=1` makes it again from `foreign.json` and `foreign-revoked.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use yima_foreign::{AcceptanceRules, Revocations, TrustList};
use yima_schema::time::{DAY, Time};
use yima_service::rate_limit::RateConfig;

use super::*;
use crate::routes::foreign::answer;
use crate::verdict::hours;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/");
const FILE: &str = "foreign-offline.json";
const ABOUT: &str = "The answers to the codes of foreign.json and foreign-revoked.json, whose lists are `trust_list`, \
    `acceptance` (the built-in rules) and `revocations` here, as parts of an offline bundle (docs/offline-bundle.md) in \
    base64. `require_test_within_h`: the checkpoint's policy.";

/// None, and some by which the tests of the vectors are new, or too old.
const POLICIES: [Option<u16>; 3] = [None, Some(24), Some(72)];

/// The codes of one file, with the lists that they are judged by.
fn answers(file: &str) -> Value {
    let vectors: Value = serde_json::from_slice(&std::fs::read(format!("{VECTORS}{file}.json")).unwrap()).unwrap();
    let now: Time = serde_json::from_value(vectors["now"].clone()).unwrap();
    let trust_list = TrustList::parse(&vectors["trust_list"].to_string()).ok().unwrap();
    let revoked = vectors.get("revocations").map(|list| Revocations::parse(&list.to_string()).ok().unwrap());
    let (revoked, rules) = (revoked.unwrap_or_default(), AcceptanceRules::built_in());
    let vector = |vector: &Value| {
        let code = vector["code"].as_str().unwrap();
        let answers = POLICIES.map(|policy| {
            let (body, _) = answer(code, &trust_list, &revoked, &rules, policy.map(hours), now);
            let body = serde_json::to_value(body).unwrap();
            let mut answer = json!({ "require_test_within_h": policy });
            for member in ["verdict", "reason", "identity", "foreign"] {
                answer[member] = body[member].clone();
            }
            answer
        });
        json!({ "name": vector["name"], "code": code, "answers": answers })
    };
    json!({
        "now": now,
        "trust_list": STANDARD.encode(trust_list.to_part()),
        "acceptance": STANDARD.encode(rules.to_part()),
        "revocations": STANDARD.encode(revoked.to_part()),
        "codes": vectors["vectors"].as_array().unwrap().iter().map(vector).collect::<Vec<_>>(),
    })
}

#[test]
fn the_page_and_the_service_have_the_same_answers_to_give() {
    let made = json!({ "about": ABOUT, "sets": [answers("foreign"), answers("foreign-revoked")] });
    let path = format!("{VECTORS}{FILE}");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let kept: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(kept, made, "UPDATE_VECTORS=1 makes them again");
}

#[tokio::test]
async fn codes_of_other_systems_have_a_limit_of_their_own() {
    let node = Node::start_with(0.0, |config| config.limits.foreign = RateConfig::new(3, DAY)).await;
    let guard = node.guard();
    let scans = async |codes: &[&str]| node.post("/v1/scans", &guard, json!({ "codes": codes })).await.0;
    assert_eq!(scans(&["HC1:0", "YM1:0", "shc:/0"]).await, StatusCode::OK);
    assert_eq!(scans(&["HC1:0", "YM1:0", "shc:/0"]).await, StatusCode::TOO_MANY_REQUESTS, "one is left");
    assert_eq!(node.scan(&guard, "shc:/0", None).await.status(), StatusCode::OK);
    let refused = node.scan(&guard, " HC1:0", None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let limited = refused.headers()["ratelimit"].to_str().unwrap();
    assert!(limited.starts_with("\"foreign\";r=0"), "{limited}");
    for (bearer, code) in [(&guard, "YM1:0"), (&node.checkpoint_named("gate-2", false), "HC1:0")] {
        assert_eq!(node.scan(bearer, code, None).await.status(), StatusCode::OK, "{code}");
    }
}
