//! Sign-ins in a crowd: who is refused gets a place in line, and is let in with it.

use yima_schema::subject::DocumentType;
use yima_schema::time::{HOUR, Time};
use yima_service::jwt::Claims;
use yima_service::rate_limit::RateConfig;

use axum::http::HeaderMap;

use super::*;
use crate::cache::tests::store::advance;

impl Node {
    /// Each call issues another token.
    fn token(&self, number: &str) -> String {
        let document_number = Some(number.to_owned());
        let document_type = Some(DocumentType::CnResidentId);
        self.issuer
            .issue(&Claims { scope: "display".into(), document_type, document_number, ..Claims::default() }, HOUR)
    }

    async fn sign_in_with(&self, token: &str, ticket: Option<&str>) -> (StatusCode, serde_json::Value) {
        let mut request = Request::post("/v1/sessions").header(AUTHORIZATION, format!("Bearer {token}"));
        if let Some(ticket) = ticket {
            request = request.header("yima-ticket", ticket);
        }
        let answer = router(self.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, has_time) = (answer.status(), answer.headers().contains_key("retry-after"));
        assert_eq!(has_time, status != StatusCode::OK && status != StatusCode::UNAUTHORIZED);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn a_person_beyond_the_limit_waits_in_line_and_is_let_in_with_the_ticket() {
    let [me, other] = ["610102199003070016", "610102199003070032"];
    let few = |config: &mut ReadApiConfig| {
        config.limits.sign_in =
            RateConfig { burst: 1_u32.try_into().ok(), ..RateConfig::new(6, Duration::from_secs(60)) };
    };
    let node = Node::start_with(0.0, few).await;
    assert_eq!(node.sign_in_with(&node.token(other), None).await.0, StatusCode::OK);
    let (status, problem) = node.sign_in_with(&node.token(me), None).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"https://yima.dev/problems/waiting".into())
    );
    assert_eq!(problem["waiting"]["place"], 1);
    let expected_at: Time = problem["waiting"]["expected_at"].as_str().unwrap().parse().unwrap();
    assert!((9..12).contains(&expected_at.since(now()).as_secs()), "{expected_at}");
    let ticket = problem["waiting"]["ticket"].as_str().unwrap();
    // What does not look like a token gets no place, whoever waits.
    assert_eq!(node.sign_in_with("x", None).await.0, StatusCode::UNAUTHORIZED);
    // Another node, at which others wait.
    let node =
        Node::start_with(0.0, |config| config.limits.sign_in = RateConfig::new(20, Duration::from_secs(1))).await;
    advance(80_000);
    for n in 0..200 {
        let admitted = node.app.sign_ins.enter(&HeaderMap::new(), &[n], now());
        let _ = admitted.map(|admitted| node.app.sign_ins.turn_away(admitted, &[n], now()));
    }
    let (status, problem) = node.sign_in_with(&node.token(me), None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    // Another token of the same person; one of another person has no use of the ticket.
    assert_eq!(node.sign_in_with(&node.token(other), Some(ticket)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, problem) = node.sign_in_with(&node.token(me), Some(ticket)).await;
    assert_eq!(status, StatusCode::OK, "{problem}");
}
