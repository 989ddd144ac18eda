//! Tokens that must be refused.

use std::time::Duration;

use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use yima_schema::problem::ProblemType;
use yima_service::clock;
use yima_service::jwt::{Claims, Issuer, JwksError, JwtConfig, Verifier};
use yima_service::rate_limit::{RateConfig, RateLimiter};

const HOUR: i64 = 3_600;

fn config() -> JwtConfig {
    JwtConfig { issuer: "idp".to_owned(), ..JwtConfig::default() }
}

fn checks() -> RateLimiter {
    RateLimiter::new("sign-in", &RateConfig::default())
}

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
        let verifier = Verifier::from_file(file.path(), &config()).unwrap();
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
        let refused = self.verifier.verify(token, &checks()).expect_err("a token that must be refused");
        let problem = refused.problem().clone();
        assert_eq!(problem.kind, ProblemType::Unauthenticated);
        let answer = refused.into_response();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
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
    assert_eq!(*provider.verifier.verify(&token, &checks()).unwrap(), claims);
    assert!(provider.verifier.verify(&provider.signed(&json!({})), &checks()).is_ok());
}

#[test]
fn times_have_a_leeway_of_a_minute() {
    let provider = Provider::new();
    let now = clock::now().as_secs();
    assert_eq!(provider.refuses(&provider.signed(&json!({"exp": now - 61}))), "The token has expired: get a new one");
    for outside in [
        json!({"nbf": now + 120}),
        json!({"nbf": 1e300}),
        json!({"nbf": "now"}),
        json!({"iat": now + 120}),
        json!({"iat": 1e300}),
        json!({"iat": "now"}),
        json!({"iat": [now]}),
    ] {
        provider.refuses(&provider.signed(&outside));
    }
    for within in [json!({"exp": now - 30}), json!({"nbf": now + 30}), json!({"iat": now + 30}), json!({"iat": now})] {
        assert!(provider.verifier.verify(&provider.signed(&within), &checks()).is_ok(), "{within}");
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
        json!({"iss": ["idp"]}),
        json!({"iss": ["idp", "other"]}),
        json!({"iss": {"0": "idp"}}),
        json!({"exp": null, "expires": 1}),
        json!({"exp": 1e300}),
        json!({"exp": -1}),
    ] {
        provider.refuses(&provider.signed(&changes));
    }
}

#[test]
fn a_token_lives_no_longer_than_the_bound() {
    let provider = Provider::new();
    let now = clock::now().as_secs();
    let week = 7 * 24 * HOUR;
    for long in [json!({"exp": now + week + 120}), json!({"iat": now - week, "exp": now + HOUR})] {
        let detail = provider.refuses(&provider.signed(&long));
        assert_eq!(detail, "The token lives too long: get one that expires sooner", "{long}");
    }
    for short in [json!({"exp": now + week}), json!({"iat": now - week + HOUR, "exp": now + HOUR})] {
        assert!(provider.verifier.verify(&provider.signed(&short), &checks()).is_ok(), "{short}");
    }
}

/// A token of these texts, signed with the provider's key.
fn signed_texts(provider: &Provider, header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|text| URL_SAFE_NO_PAD.encode(text));
    let signed = format!("{header}.{claims}");
    let key = EncodingKey::from_ec_der(&provider.pkcs8);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn headers_that_are_not_understood_and_members_that_are_there_twice_are_refused() {
    let provider = Provider::new();
    let kid = provider.issuer.jwks().keys[0].common.key_id.clone().unwrap();
    let exp = clock::now().as_secs() + HOUR;
    let claims = format!(r#"{{"iss":"idp","aud":"yima","exp":{exp},"scope":"display"}}"#);
    let plain = format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#);
    for header in [&plain, r#"{"alg":"ES256"}"#, r#"{"alg":"ES256","typ":"at+jwt"}"#, r#"{"alg":"ES256","typ":"jwt"}"#]
    {
        assert!(provider.verifier.verify(&signed_texts(&provider, header, &claims), &checks()).is_ok(), "{header}");
    }
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","typ":"logout+jwt"}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
        r#"{"alg":"ES256","typ":["JWT"]}"#,
        r#"{"alg":"ES256","kid":"other"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"HS256","alg":"ES256"}"#,
        r#"{"typ":"JWT"}"#,
        "[]",
        "",
    ] {
        provider.refuses(&signed_texts(&provider, header, &claims));
    }
    for twice in [
        claims.replace("}", r#","scope":"scan"}"#),
        claims.replace("}", r#","aud":"yima"}"#),
        claims.replace("}", r#","iss":"idp"}"#),
        claims.replace("}", r#","other":1,"other":2}"#),
        claims.replace("}", r#","other":{"a":1,"a":1}}"#),
        claims.replace("}", &format!(r#","exp":{exp}}}"#)),
    ] {
        provider.refuses(&signed_texts(&provider, &plain, &twice));
    }
}

#[test]
fn a_key_document_with_a_member_twice_is_refused() {
    let provider = Provider::new();
    let jwks = serde_json::to_string(&provider.issuer.jwks()).unwrap();
    assert!(Verifier::from_jwks(&jwks, &config()).is_ok());
    let twice = jwks.replacen("{\"keys\"", "{\"keys\":[],\"keys\"", 1);
    assert_ne!(twice, jwks);
    assert!(matches!(Verifier::from_jwks(&twice, &config()), Err(JwksError::Duplicate(pointer)) if pointer == "/keys"));
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
    provider.verifier.verify(&good, &checks()).unwrap();
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
