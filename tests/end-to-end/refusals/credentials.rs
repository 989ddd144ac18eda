//! Credentials: tokens and sessions that are missing, invalid, or of another scope.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use yima_harness::{Yima, new_person, now};
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::SubjectId;
use yima_schema::time::{DAY, HOUR, Time};

use super::{ROUTES, assert_unharmed, problem, send};
use crate::shared;

#[test]
fn a_request_without_a_valid_token_is_401() {
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
        garbage.into_iter().chain(almost_valid_tokens(&yima, &person.document)).map(|token| format!("Bearer {token}"));
    let fields: Vec<_> = tokens.chain(["Basic bGFiLTc6eA==".to_owned(), "Digest x".to_owned()]).collect();
    for (method, route) in ROUTES {
        let body = (method == "POST").then_some(b"{}".as_slice());
        let json = ("content-type", "application/json");
        let mut replies = vec![send(&yima, method, route, &[json], body)];
        replies.extend(fields.iter().map(|field| send(&yima, method, route, &[("authorization", field), json], body)));
        for (n, reply) in replies.into_iter().enumerate() {
            // Without a bearer token there is no error to name (RFC 6750 section 3.1).
            let has_token = (1..=fields.len() - 2).contains(&n);
            let problem = problem(&reply, 401, "unauthenticated").to_string();
            let challenge = if has_token { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            assert_eq!(reply.header("www-authenticate"), challenge, "{n}");
            assert!(!problem.contains(&person.document));
        }
    }
    assert_unharmed(&yima, &person.document);
}

/// Tokens with one error each: time, signer, algorithm, audience, or seal key.
fn almost_valid_tokens(yima: &Yima, document: &str) -> Vec<String> {
    let key = |name: &str| std::fs::read(yima.data_dir().join("keys").join(name)).expect("a key of the data directory");
    let claims = |audience: &str, exp: i64| {
        json!({ "iss": "yima-demo", "aud": audience, "exp": exp, "scope": "display scan events:write",
            "agency": "lab-7", "checkpoint": "gate", "document_type": "cn_resident_id", "document_number": document })
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
        Session { id: 1, started_at: Time::default(), expires_at, holder }.seal(&SealKeys::new(&[secret], "session"))
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
fn a_token_of_another_scope_is_403() {
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
        assert!(route != "/v1/events" || reply.header("www-authenticate").ends_with("scope=\"events:write\""));
    }
}
