//! Tokens that must be refused.

use std::time::Duration;

use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use yima_schema::problem::ProblemType;
use yima_service::clock;
use yima_service::jwt::{Claims, Issuer, Verifier};

const HOUR: i64 = 3_600;

struct Provider {
    pkcs8: Vec<u8>,
    issuer: Issuer,
    verifier: Verifier,
}

impl Provider {
    fn new() -> Self {
        let (pkcs8, _public) = Issuer::generate().unwrap();
        let issuer = Issuer::from_pkcs8(&pkcs8, "idp").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serde_json::to_string(&issuer.jwks()).unwrap()).unwrap();
        let verifier = Verifier::from_file(file.path(), "idp").unwrap();
        Self { pkcs8, issuer, verifier }
    }

    /// A valid token with `changes`; `null` removes a claim.
    fn signed(&self, changes: &Value) -> String {
        let now = clock::now().as_secs();
        let mut claims = json!({"iss": "idp", "aud": "yima", "exp": now + HOUR, "scope": "display"});
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        let key = EncodingKey::from_ec_der(&self.pkcs8);
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
    }

    fn refuses(&self, token: &str) -> String {
        let problem = self.verifier.verify(token).expect_err("a token that must be refused");
        assert_eq!(problem.kind, ProblemType::Unauthenticated);
        problem.detail
    }
}

#[test]
fn a_token_of_the_issuer_is_accepted() {
    let provider = Provider::new();
    let claims = Claims {
        scope: "scan".to_owned(),
        checkpoint: Some("gate-1".to_owned()),
        require_test_within_h: Some(48),
        ..Claims::default()
    };
    let token = provider.issuer.issue(&claims, Duration::from_secs(60));
    assert_eq!(*provider.verifier.verify(&token).unwrap(), claims);
    assert!(provider.verifier.verify(&provider.signed(&json!({}))).is_ok());
}

#[test]
fn times_have_a_leeway_of_a_minute() {
    let provider = Provider::new();
    let now = clock::now().as_secs();
    assert_eq!(provider.refuses(&provider.signed(&json!({"exp": now - 61}))), "The token has expired: get a new one");
    provider.refuses(&provider.signed(&json!({"nbf": now + 120})));
    for within in [json!({"exp": now - 30}), json!({"nbf": now + 30})] {
        assert!(provider.verifier.verify(&provider.signed(&within)).is_ok(), "{within}");
    }
}

#[test]
fn tokens_of_other_audiences_and_issuers_or_without_claims_are_refused() {
    let provider = Provider::new();
    for changes in [
        json!({"aud": "bank"}),
        json!({"aud": null}),
        json!({"iss": "other"}),
        json!({"iss": null}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"scope": 5}),
    ] {
        provider.refuses(&provider.signed(&changes));
    }
}

#[test]
fn other_algorithms_are_refused_even_with_the_public_key_as_secret() {
    let provider = Provider::new();
    let jwks = provider.issuer.jwks();
    let AlgorithmParameters::EllipticCurve(public) = &jwks.keys[0].algorithm else { panic!("an EC key") };
    let claims = json!({"iss": "idp", "aud": "yima", "exp": clock::now().as_secs() + HOUR});
    for secret in [public.x.as_bytes(), serde_json::to_string(&jwks).unwrap().as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        provider.refuses(&jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap());
    }
    // {"alg":"none","typ":"JWT"}, without and with the signature of a valid token.
    let good = provider.signed(&json!({}));
    let [_, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    provider.refuses(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."));
    provider.refuses(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.{signature}"));
}

#[test]
fn altered_and_malformed_tokens_are_refused() {
    let provider = Provider::new();
    let good = provider.signed(&json!({}));
    // Also after the valid token was verified: the cache must not confuse them.
    provider.verifier.verify(&good).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    for part in 0..3 {
        let mut altered: Vec<String> = parts.iter().map(|&part| part.to_owned()).collect();
        let middle = altered[part].len() / 2;
        let other = if altered[part].as_bytes()[middle] == b'A' { "B" } else { "A" };
        altered[part].replace_range(middle..=middle, other);
        provider.refuses(&altered.join("."));
    }
    let another = provider.signed(&json!({"scope": "scan"}));
    let payload = another.split('.').nth(1).unwrap();
    provider.refuses(&format!("{}.{payload}.{}", parts[0], parts[2]));
    for malformed in ["", ".", "..", "a.b.c", &good[1..], &"A".repeat(5_000)] {
        provider.refuses(malformed);
    }
    let long = provider.refuses(&provider.signed(&json!({"agency": "a".repeat(4_000)})));
    assert_eq!(long, "The token is too long: a token has at most 4096 bytes");
    provider.refuses(&Provider::new().signed(&json!({})));
}
