//! Printed codes: weeks long, of the live view, and revoked by their number.

use serde_json::{Value, json};
use yima_schema::code::{Paper, verify};
use yima_schema::event::{Colour, EventData};

use super::phones::{by_agency, vaccinated};
use super::*;
use crate::cache::tests::store::advance;

async fn print(node: &Node, bearer: &str) -> Value {
    let (status, printed) = node.json("GET", "/v1/paper", bearer, &[], Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{printed}");
    printed
}

fn code(printed: &Value) -> &str {
    printed["code"].as_str().unwrap()
}

#[tokio::test]
async fn a_printed_code_has_no_colour_finds_the_live_view_and_is_revoked_by_its_number() {
    let proved = |config: &mut ReadApiConfig| (config.cache.max_lag, config.cache.max_stale) = (DAY * 40, DAY * 40);
    let node = Node::start_with(0.0, proved).await;
    let citizen = node.citizen(1);
    print(&node, &citizen).await; // so that the view is in memory
    node.show_written_by(&citizen, &[vaccinated()]);
    let [first, second] = [print(&node, &citizen).await, print(&node, &citizen).await];
    assert!(first["number"] != second["number"] && code(&first).len() < 330, "a QR code of version 9");
    assert_eq!(first["document"], json!("E******78"));

    let claims = verify(code(&first), node.app.keyring.load().issuers(), now()).unwrap();
    assert!(claims.snapshot.is_none() && claims.paper == Some(Paper::new(None, Some("E******78"))));
    assert_eq!(node.reason(code(&first)).await, "paper_green");
    let colour = EventData::ColourAssignment { colour: Colour::Red, until: None, reason: "contact".into() };
    node.show_written_by(&citizen, &[vaccinated(), by_agency("c-1", colour)]);
    assert_eq!(node.reason(code(&first)).await, "red");
    node.show_written_by(&citizen, &[vaccinated()]);

    let path = |number: &Value| format!("/v1/papers/{}", number.as_str().unwrap());
    let end = async |path: String| node.json("DELETE", &path, &citizen, &[], Value::Null).await.0;
    assert_eq!(end("/v1/papers/7".into()).await, StatusCode::NOT_FOUND);
    assert_eq!(end(path(&first["number"])).await, StatusCode::NO_CONTENT);
    node.show_written_by(&citizen, &[vaccinated()]);
    assert_eq!(node.reason(code(&first)).await, "paper_ended");
    assert_eq!(node.reason(code(&second)).await, "paper_green");

    advance(29 * 86_400_000);
    assert_eq!(node.reason(code(&second)).await, "paper_green");
    advance(86_400_000);
    assert_eq!(node.reason(code(&second)).await, "expired");
}

#[tokio::test]
async fn signing_out_everywhere_revokes_what_was_printed_before() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    let printed = print(&node, &citizen).await;
    node.show_written_by(&citizen, &[vaccinated()]);
    assert_eq!(node.reason(code(&printed)).await, "paper_green");
    let request = Request::delete("/v1/sessions").header(AUTHORIZATION, &citizen).body(Body::empty()).unwrap();
    let answer = router(node.app.clone(), true).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    node.show_written_by(&citizen, &[vaccinated()]);
    assert_eq!(node.reason(code(&printed)).await, "paper_ended");
}
