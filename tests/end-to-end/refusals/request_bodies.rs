//! Bodies of requests: of an unknown type, too large, not JSON, or JSON of another shape.

use serde_json::json;

use super::{assert_unharmed, problem};
use crate::shared;

#[test]
fn an_unknown_content_type_is_415_and_a_large_scan_413() {
    let yima = shared();
    let (guard, lab) = (yima.checkpoint_session(), yima.agency_token("lab-7"));
    for (url, token) in
        [(format!("{}/v1/scan", yima.read_url()), &guard), (format!("{}/v1/events", yima.writer_url()), &lab)]
    {
        let bearer = format!("Bearer {token}");
        for content_type in ["text/plain", "application/xml", "application/jsonp", "json", "", ";"] {
            let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
            let reply = yima.http().send("POST", &url, &headers, Some(b"{}")).expect("a whole answer");
            let problem = problem(&reply, 415, "unsupported-media-type");
            assert!(
                problem["detail"].as_str().is_some_and(|text| text.contains("application/json")),
                "the accepted type is not named"
            );
        }
        let reply = yima.http().send("POST", &url, &[("authorization", &bearer)], Some(b"{}")).expect("a whole answer");
        problem(&reply, 415, "unsupported-media-type");
        // Parameters and case do not matter.
        let reply = yima.http().post(&url, token, "Application/JSON; charset=utf-8", b"{}");
        problem(&reply, 400, "invalid");
    }
    let scan = |length: usize| {
        let body = json!({ "code": "A".repeat(length - "{\"code\":\"\"}".len()) }).to_string();
        assert_eq!(body.len(), length);
        yima.http().post(&format!("{}/v1/scan", yima.read_url()), &guard, "application/json", body.as_bytes())
    };
    problem(&scan(16_385), 413, "too-large");
    assert_eq!(scan(16_384).json(200)["reason"], "malformed");
}

#[test]
fn a_malformed_or_invalid_scan_is_400_and_is_not_repeated() {
    let yima = shared();
    let guard = yima.checkpoint_session();
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (body, kind, pointer) in [
        (b"".as_slice(), "malformed", Some("")),
        (b"{\"code\":", "malformed", Some("")),
        (b"{\"code\":\"\xff\"}", "malformed", Some("")),
        (b"{\"code\":\"x\"} {}", "malformed", Some("")),
        (format!("{{\"code\":{deep}}}").as_bytes(), "malformed", Some("")),
        (b"null", "invalid", Some("")),
        (b"\"YM1:SECRET\"", "invalid", Some("")),
        (b"[\"YM1:SECRET\"]", "invalid", Some("")),
        (b"{}", "invalid", Some("/code")),
        (b"{\"code\":7}", "invalid", Some("/code")),
        (b"{\"code\":null}", "invalid", Some("/code")),
        (b"{\"code\":[\"YM1:SECRET\"]}", "invalid", Some("/code")),
        (b"{\"code\":\"x\",\"codes\":[]}", "invalid", Some("/codes")),
    ] {
        let reply = yima.http().post(&format!("{}/v1/scan", yima.read_url()), &guard, "application/json", body);
        let problem = problem(&reply, 400, kind);
        assert_eq!(problem["errors"][0]["pointer"].as_str(), pointer, "{}", String::from_utf8_lossy(body));
        assert!(!problem.to_string().contains("SECRET"));
    }
    assert_unharmed(&yima, "SECRET");
}

#[test]
fn the_demos_sign_in_refuses_bodies_as_other_routes_do() {
    let yima = shared();
    let url = format!("{}/demo/token", yima.read_url());
    let post = |content_type: &str, body: &[u8]| {
        yima.http().send("POST", &url, &[("content-type", content_type)], Some(body)).expect("a whole answer")
    };
    problem(&post("text/plain", b"{}"), 415, "unsupported-media-type");
    problem(&post("application/json", &[b' '; 1_025]), 413, "too-large");
    problem(&post("application/json", b"{"), 400, "malformed");
    for body in [
        "{}",
        r#"{"role":"agency"}"#,
        r#"{"role":"citizen"}"#,
        r#"{"role":"citizen","person":-1}"#,
        r#"{"role":"citizen","person":10}"#,
    ] {
        problem(&post("application/json", body.as_bytes()), 400, "invalid");
    }
    let token = post("application/json", br#"{"role":"citizen","person":9}"#).json(200);
    let session = yima.session(token["token"].as_str().expect("a token"));
    assert_ne!(yima.shown(&session).0, "none");
}

#[test]
fn a_body_of_too_many_rows_is_413() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    problem(&yima.push(&lab, "application/x-ndjson", &b"1\n".repeat(100_001)), 413, "too-large");
}
