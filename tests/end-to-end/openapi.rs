//! The services' OpenAPI descriptions: their examples are accepted, answers match the schemas, and
//! every route is described.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use yima_harness::{Options, Reply, Yima, ago, new_person};
use yima_schema::time::HOUR;

use crate::browser::window::{Screen, Window};
use crate::{identity_provider, shared, trusting};

/// The document number of demo person 0.
const CITIZEN: &str = "610102194001010017";

fn description(yima: &Yima, base: &str) -> Value {
    let reply = yima.http().get(&format!("{base}/openapi.json"), "");
    let tag = [("if-none-match", reply.header("etag"))];
    assert_eq!(yima.http().get_with(&format!("{base}/openapi.json"), &tag).expect("a whole answer").status, 304);
    let api = reply.json(200);
    assert!(api["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{}", api["openapi"]);
    api
}

/// `(method, path, operation)` of each operation.
fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let paths = api["paths"].as_object().expect("paths");
    let of = |path: &String, item: &Value| -> Vec<_> {
        let item = item.as_object().expect("operations");
        item.iter().map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone())).collect()
    };
    paths.iter().flat_map(|(path, item)| of(path, item)).collect()
}

/// A token for the security scheme of an operation.
fn token(yima: &Yima, operation: &Value) -> String {
    let [scheme, tag] = [operation["security"][0].clone(), operation["tags"][0].clone()];
    let scheme = scheme.as_object().and_then(|scheme| scheme.keys().next().cloned()).unwrap_or_default();
    match (scheme.as_str(), tag.as_str().expect("a tag")) {
        ("session", "citizen") => yima.citizen_session(CITIZEN),
        ("session", "sessions") => yima.session_of(&new_person()),
        ("session", "checkpoint") => yima.checkpoint_session(),
        ("identity_token", "sessions") => yima.token(&["citizen", CITIZEN]),
        ("identity_token", "agency") => yima.agency_token("lab-7"),
        ("", "offline") => String::new(),
        other => panic!("no token is known for {other:?}"),
    }
}

/// The response has a status, content type and shape that the operation describes.
#[track_caller]
fn assert_described(api: &Value, operation: &Value, reply: &Reply) {
    let described = &operation["responses"][reply.status.to_string()]["content"];
    let content_type = reply.header("content-type");
    let schema = &described[content_type]["schema"];
    assert!(schema.is_object(), "{} {content_type} is not described: {}", reply.status, reply.text());
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema],
        "components": api["components"]});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    if content_type == "application/cose" {
        return; // `offline_bundle.rs` reads it
    }
    let lines = content_type == "application/x-ndjson";
    let answers = if lines { reply.rows() } else { vec![reply.json(reply.status)] };
    for answer in answers {
        let errors: Vec<_> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {answer}");
    }
}

#[test]
fn examples_are_accepted_and_answers_match_the_schemas() {
    let yima = shared();
    let mut examples = 0;
    for base in [yima.read_url(), yima.writer_url()] {
        let api = description(&yima, &base);
        for (method, path, operation) in operations(&api) {
            let (url, token) = (format!("{base}{path}"), token(&yima, &operation));
            if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
                continue; // a live display has no end; `live_displays.rs` reads it
            }
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            if parameters.any(|parameter| parameter["in"] == "header" && parameter["required"] == true) {
                continue; // keys of a phone; `phones.rs` sends some
            }
            if method == "DELETE" {
                let bearer = [("authorization", &*format!("Bearer {token}"))];
                let reply = yima.http().send("DELETE", &url, &bearer, None).expect("a whole answer");
                assert!(operation["responses"][reply.status.to_string()].is_object(), "{}: {}", reply.status, path);
                continue;
            }
            if (method.as_str(), path.as_str()) == ("POST", "/v1/wards") {
                continue; // an invitation lasts ten minutes; `wards.rs` redeems some
            }
            if path.contains("{sha256}") {
                continue; // an index names it; `offline_bundle.rs` reads some
            }
            if method == "GET" {
                assert_described(&api, &operation, &yima.http().get(&url, &token));
                continue;
            }
            let Some(bodies) = operation["requestBody"]["content"].as_object() else {
                assert_described(&api, &operation, &yima.http().post(&url, &token, "", b""));
                continue;
            };
            for (content_type, body) in bodies {
                let example = &body["example"];
                let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                let reply = yima.http().post(&url, &token, content_type, text.as_bytes());
                assert_described(&api, &operation, &reply);
                assert!(!reply.text().contains("rejected"), "{path} {content_type}: {}", reply.text());
                examples += 1;
            }
            for content_type in ["application/json", "application/fhir+json"] {
                let refused = yima.http().post(&url, "", content_type, b"{}");
                let default = &operation["responses"]["default"]["content"];
                assert!(default.get(refused.header("content-type")).is_some(), "problems are described");
            }
        }
    }
    assert_eq!(examples, 8, "a body has no example");
}

/// Whether the description allows this body of an operation.
fn allows(api: &Value, path: &str, body: &Value) -> bool {
    let schema = &api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema],
        "components": api["components"]});
    jsonschema::validator_for(&schema).expect("a schema").is_valid(body)
}

#[test]
fn the_description_is_as_strict_as_the_service() {
    let yima = shared();
    let event = |kind: &str, data: Value| new_person().event("t-1", kind, &ago(HOUR), data);
    let with = |name: &str, value: Value| {
        let mut event = event("test_result", json!({ "test": "nucleic_acid", "result": "negative" }));
        event[name] = value;
        event
    };
    let retraction = |id: &str, why: &str| event("retraction", json!({ "event_id": id, "why": why }));
    let dose = |vaccine: &str, dose: u8| event("vaccination", json!({ "vaccine": vaccine, "dose": dose }));
    let colour = |colour: &str| event("colour_assignment", json!({ "colour": colour, "reason": "quarantine" }));
    let codes = |count: usize| json!({ "codes": vec!["x"; count] });
    let events = [
        (with("revision", json!(0)), true),
        (with("revision", json!(9_007_199_254_740_991_u64)), true),
        (with("revision", json!(9_007_199_254_740_992_u64)), false),
        (with("revision", json!(-1)), false),
        (with("revision", json!(1.5)), false),
        (with("id", json!("")), false),
        (with("id", json!(null)), false),
        (with("occurred_at", json!(7)), false),
        (retraction("t-1", "mixed up"), true),
        (retraction("", "mixed up"), false),
        (retraction("t 1", "mixed up"), false),
        (retraction("t-1", ""), false),
        (retraction("t-1", &"w".repeat(201)), false),
        (dose("208", 1), true),
        (dose("CVX", 1), false),
        (dose("208", 0), false),
        (dose("208", 21), false),
        (colour("red"), true),
        (colour("none"), false),
        (event("identity", json!({ "name": "Anna Lee", "born": "1990-03-07" })), true),
        (event("identity", json!({ "name": "" })), false),
        (event("identity", json!({ "name": "Anna Lee", "born": "7 March 1990" })), false),
    ];
    let scans = [
        (json!({ "code": "x" }), true),
        (json!({ "code": "x", "document_type": null, "document_number": null }), true),
        (json!({ "code": null, "document_type": "passport", "document_number": "E12345678" }), true),
        (json!({}), false),
        (json!({ "code": null }), false),
        (json!({ "code": null, "document_type": null, "document_number": null }), false),
        (json!({ "document_type": "passport" }), false),
        (json!({ "document_number": "E12345678" }), false),
        (json!({ "document_type": "passport", "document_number": null }), false),
        (json!({ "document_type": "passport", "document_number": "" }), false),
        (json!({ "document_type": "licence", "document_number": "E12345678" }), false),
        (json!({ "code": "x", "document_type": "passport" }), false),
        (json!({ "code": "x", "more": 1 }), false),
        (json!({ "code": 7 }), false),
    ];
    let many = [(codes(1), true), (codes(100), true), (codes(0), false), (codes(101), false), (json!({}), false)];
    let guard = yima.token(&["checkpoint", "--name", "strict", "--look-up-documents"]);
    let guard = yima.http().post(&format!("{}/v1/sessions", yima.read_url()), &guard, "", b"").json(200);
    let guard = guard["session"].as_str().expect("a session").to_owned();
    let lab = yima.agency_token("lab-7");
    for (base, token, path, bodies) in [
        (yima.writer_url(), &lab, "/v1/events", &events[..]),
        (yima.read_url(), &guard, "/v1/scan", &scans),
        (yima.read_url(), &guard, "/v1/scans", &many),
    ] {
        let api = description(&yima, &base);
        for (body, is_valid) in bodies {
            let url = format!("{base}{path}");
            let status = yima.http().post(&url, token, "application/json", body.to_string().as_bytes()).status;
            assert_eq!(status != 400, *is_valid, "{path} answers {status} to {body}");
            assert_eq!(allows(&api, path, body), *is_valid, "{path} is described otherwise: {body}");
        }
    }
}

#[test]
fn described_and_documented_routes_are_the_same() {
    let yima = shared();
    let described: BTreeSet<_> = [yima.read_url(), yima.writer_url()]
        .iter()
        .flat_map(|base| operations(&description(&yima, base)))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let documented: BTreeSet<_> = include_str!("../../docs/api.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter(|title| title.contains(" /v1/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(described, documented);
}

#[test]
fn beside_a_real_identity_provider_the_description_is_served_only_where_it_is_asked_for() {
    let options = trusting(&identity_provider(), Options::default());
    let yima = Yima::start(options.env("YIMA_WRITER__API_DOCS", true));
    for path in ["/openapi.json", "/docs", "/docs/", "/docs/swagger-ui.css"] {
        let status = |base: String| yima.http().get(&format!("{base}{path}"), "").status;
        assert_eq!(status(yima.read_url()), 404, "{path}");
        assert!([200, 303].contains(&status(yima.writer_url())), "{path}");
    }
}

#[test]
fn in_a_browser_the_api_page_is_in_the_binary_and_has_a_content_security_policy() {
    let yima = shared();
    for base in [yima.read_url(), yima.writer_url()] {
        for file in ["", "swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
            let reply = yima.http().get(&format!("{base}/docs/{file}"), "");
            assert_eq!(reply.status, 200, "{file}");
            assert!(reply.header("content-security-policy").contains("default-src 'none'"), "{file}");
        }
        let window = Window::open(Screen { width: 1280, height: 800, phone: false }, &format!("{base}/docs/"));
        window.see(".opblock-post");
        assert_eq!(window.console(), Vec::<Value>::new(), "errors, or violations of the policy");
    }
}
