//! Whatever is sent to any endpoint gets a problem document (RFC 9457) that says what is wrong, and no more.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use yima_harness::{Reply, Yima, new_person, now};
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::SubjectId;
use yima_schema::time::{DAY, HOUR};

use crate::shared;

/// Words that only the inside of the program uses.
const INTERNALS: [&str; 9] = [".rs", "panic", "serde", "fjall", "hyper", "axum", "tokio", "unwrap", "Err("];

/// The problem document of an answer, checked for what every one must have and must not.
#[track_caller]
pub fn problem(reply: &Reply, status: u16, kind: &str) -> Value {
    let problem = reply.json(status);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(!reply.header("x-request-id").is_empty());
    assert_eq!(
        (&problem["type"], &problem["status"]),
        (&json!(format!("https://yima.dev/problems/{kind}")), &json!(status))
    );
    assert!(
        ["title", "detail"].iter().all(|field| problem[field].as_str().is_some_and(|text| text.len() > 5)),
        "{problem}"
    );
    assert!(INTERNALS.iter().all(|word| !problem.to_string().contains(word)), "{problem}");
    problem
}

/// The service still answers, nothing panicked, and nobody who was named is in the log.
pub fn is_unharmed(yima: &Yima, named: &str) {
    let person = new_person();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "green");
    let log = yima.stderr();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains(named), "{log}");
}

fn send(yima: &Yima, method: &str, route: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
    let base = if route == "/v1/events" { yima.writer_url() } else { yima.read_url() };
    yima.http().send(method, &format!("{base}{route}"), headers, body).expect("a whole answer")
}

const ROUTES: [(&str, &str); 5] = [
    ("POST", "/v1/sessions"),
    ("GET", "/v1/display"),
    ("GET", "/v1/code"),
    ("POST", "/v1/scan"),
    ("POST", "/v1/events"),
];

#[test]
fn without_a_valid_token_401() {
    let yima = shared();
    let person = new_person();
    let garbage = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        "A".repeat(300),
        "A".repeat(5_000),
        yima.agency_token("lab-7") + "x",
    ];
    let tokens =
        garbage.into_iter().chain(foreign_and_expired(&yima, &person.document)).map(|token| format!("Bearer {token}"));
    let fields: Vec<_> = tokens.chain(["Basic bGFiLTc6eA==".to_owned(), "Digest x".to_owned()]).collect();
    for (method, route) in ROUTES {
        let body = (method == "POST").then_some(b"{}".as_slice());
        let json = ("content-type", "application/json");
        let mut replies = vec![send(&yima, method, route, &[json], body)];
        replies.extend(fields.iter().map(|field| send(&yima, method, route, &[("authorization", field), json], body)));
        for reply in replies {
            let problem = problem(&reply, 401, "unauthenticated").to_string();
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            assert!(!problem.contains(&person.document));
        }
    }
    is_unharmed(&yima, &person.document);
}

/// Tokens that are as they should be but for one thing: time, signer, algorithm, audience, or the sealing key.
fn foreign_and_expired(yima: &Yima, document: &str) -> Vec<String> {
    let key = |name: &str| std::fs::read(yima.data_dir().join("keys").join(name)).expect("a key of the data directory");
    let claims = |audience: &str, exp: i64| {
        json!({ "iss": "yima-demo", "aud": audience, "exp": exp, "scope": "display scan events:write", "agency": "lab-7",
            "checkpoint": "gate", "document_type": "cn_resident_id", "document_number": document })
    };
    let (past, later) = (now().minus(HOUR).as_secs(), now().plus(HOUR).as_secs());
    let ours = EncodingKey::from_ec_der(&key("demo-identity-provider.p8"));
    let other = EncodingKey::from_ec_der(&key("issuer.p8"));
    let es256 = |claims: Value, key: &EncodingKey| {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, key).expect("claims can be signed")
    };
    let hs256 = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims("yima", later),
        &EncodingKey::from_secret(b"yima"),
    );
    let signed = es256(claims("yima", later), &ours);
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", signed.split('.').nth(1).expect("three parts"));
    let session = |secret: [u8; 32], expires_at| {
        let holder = Holder::Citizen { subject: SubjectId::from_bytes([1; 16]) };
        Session { id: 1, expires_at, holder }.seal(&SealKeys::new(&[secret], "session"))
    };
    let secret = key("seal.key").try_into().expect("32 bytes");
    vec![
        es256(claims("yima", past), &ours),
        es256(claims("other", later), &ours),
        es256(claims("yima", later), &other),
        hs256.expect("claims can be signed"),
        unsigned,
        session(secret, now().minus(HOUR)),
        session([7; 32], now().plus(DAY)),
    ]
}

#[test]
fn with_a_token_for_something_else_403() {
    let yima = shared();
    let person = new_person();
    let (citizen, guard) = (yima.session_of(&person), yima.checkpoint_session());
    let [citizen_jwt, guard_jwt] = [yima.token(&["citizen", &person.document]), yima.token(&["checkpoint"])];
    for (method, route, token) in [
        ("POST", "/v1/scan", &citizen),
        ("GET", "/v1/display", &guard),
        ("GET", "/v1/code", &guard),
        ("POST", "/v1/events", &citizen_jwt),
        ("POST", "/v1/events", &guard_jwt),
        ("POST", "/v1/sessions", &yima.agency_token("lab-7")),
    ] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let reply = send(&yima, method, route, &headers, (method == "POST").then_some(b"{\"code\":\"\"}"));
        problem(&reply, 403, "forbidden");
    }
}

#[test]
fn what_is_not_there_is_404_and_other_methods_are_405() {
    let yima = shared();
    for base in [yima.read_url(), yima.writer_url()] {
        for path in [
            "/v1/nothing",
            "/v1/display/",
            "/v1//display",
            "/v1/display/110105199001010013",
            "/v2/scan",
            "/%00",
            "/../etc/passwd",
        ] {
            let reply = yima.http().send("GET", &format!("{base}{path}"), &[], None).expect("a whole answer");
            let text = problem(&reply, 404, "not-found").to_string();
            assert!(!text.contains("110105199001010013"));
        }
    }
    for (right, route) in ROUTES {
        let wrong = if right == "GET" { ["POST", "PUT"] } else { ["GET", "PUT"] };
        for method in wrong.into_iter().chain(["DELETE", "PATCH"]) {
            let body = ["POST", "PUT", "PATCH"].contains(&method).then_some(b"{}".as_slice());
            let reply = send(&yima, method, route, &[], body);
            problem(&reply, 405, "method-not-allowed");
            assert!(reply.header("allow").split(',').any(|allowed| allowed.trim() == right), "{method} {route}");
        }
    }
}
