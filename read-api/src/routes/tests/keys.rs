//! Keys that are replaced while the node runs.

use yima_service::jwt::Claims;

use super::*;

/// The reason of a genuine code: the views of this store have no colour.
const GENUINE: &str = "nobody";

async fn reason(node: &Node, guard: &str, code: &str) -> serde_json::Value {
    let answer = node.scan(guard, code, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<serde_json::Value>(&body).unwrap()["reason"].clone()
}

#[tokio::test]
async fn codes_and_sessions_of_a_retired_key_go_on_and_those_of_a_revoked_key_have_a_reason_of_their_own() {
    let mut node = Node::start().await;
    node.store.set(subject(1));
    node.follower.poll().await.unwrap();
    let (old, new) = ((0, [2; 32]), (1, [3; 32]));
    let (first, second) = (IssuerKey::generate(), IssuerKey::generate());
    let verifying = |pkcs8: &[u8]| IssuerKey::from_pkcs8(pkcs8).unwrap().verifying_key();
    let ring = |signing: &[u8], secrets: &[_], sealing, revoked: &[u8], issuers: IssuerKeys| {
        let of = |purpose| SealKeys::with_ids(secrets, Some(sealing), revoked.to_vec(), purpose);
        Keyring::new(
            Some(IssuerKey::from_pkcs8(signing).unwrap()),
            issuers,
            of("handle"),
            of("session"),
            of("tls ticket"),
        )
    };
    let both = || IssuerKeys::new(vec![verifying(&first), verifying(&second)]);
    node.app.keyring.replace(ring(&first, &[old, new], 0, &[], both()));
    let (citizen, guard) = (node.citizen(1), node.guard());
    let code = node.code(&citizen).await;

    node.app.keyring.replace(ring(&second, &[old, new], 1, &[], both()));
    let (new_citizen, new_guard) = (node.citizen(1), node.guard());
    let new_code = node.code(&citizen).await;
    for (guard, code) in [(&guard, &code), (&guard, &new_code), (&new_guard, &code), (&new_guard, &new_code)] {
        assert_eq!(reason(&node, guard, code).await, GENUINE);
    }

    // The issuer's old key is lost, then the old seal key.
    let one = || IssuerKeys::new(vec![verifying(&second)]).with_revoked(vec![verifying(&first)]);
    node.app.keyring.replace(ring(&second, &[old, new], 1, &[], one()));
    assert_eq!(reason(&node, &guard, &code).await, "revoked_key");
    assert_eq!(reason(&node, &guard, &new_code).await, GENUINE);
    node.app.keyring.replace(ring(&second, &[new], 1, &[0], both()));
    assert_eq!(reason(&node, &new_guard, &code).await, "revoked_key");
    assert_eq!(node.display(&new_citizen, None).await.status(), StatusCode::OK);
    let refused = node.display(&citizen, None).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("was revoked: sign in again"));
}

#[tokio::test]
async fn public_keys_are_a_jwk_set_unless_a_cose_key_set_is_preferred() {
    let node = Node::start().await;
    for (accept, expected) in [
        (None, "application/jwk-set+json"),
        (Some("*/*"), "application/jwk-set+json"),
        (Some("application/cose-key-set, application/jwk-set+json"), "application/jwk-set+json"),
        (Some("application/cose-key-set, */*;q=0.1"), "application/cose-key-set"),
    ] {
        let mut request = Request::get("/v1/keys");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = router(node.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], expected, "{accept:?}");
        assert_eq!(answer.headers()["vary"], "accept");
    }
}

#[tokio::test]
async fn a_node_without_the_keys_scans_and_neither_signs_nor_signs_in() {
    let mut node = Node::start().await;
    node.store.set(subject(1));
    node.follower.poll().await.unwrap();
    let (citizen, guard, code) = (node.citizen(1), node.guard(), node.code(&node.citizen(1)).await);
    let issuers = node.app.keyring.load().issuers().clone();
    let of = |purpose| SealKeys::with_ids(&[(0, [2; 32])], None, Vec::new(), purpose);
    node.app.keyring.replace(Keyring::new(None, issuers, of("handle"), of("session"), of("tls ticket")));
    assert_eq!(reason(&node, &guard, &code).await, GENUINE);
    let request = Request::get("/v1/code").header(AUTHORIZATION, &citizen).body(Body::empty()).unwrap();
    let refused = router(node.app.clone(), true).oneshot(request).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "5");
    let claims = Claims { scope: "scan".into(), checkpoint: Some("gate-1".into()), ..Claims::default() };
    let token = node.issuer.issue(&claims, DAY);
    let (status, problem) = node.post("/v1/sessions", &format!("Bearer {token}"), serde_json::json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
}
