//! Guardians and wards: invitations, whose code is shown, and what is refused once it ended.

use serde_json::{Value, json};
use yima_schema::agency::CITIZEN;
use yima_schema::code::verify;
use yima_schema::event::{Colour, EventData, GuardianshipChange};
use yima_schema::guardianships::MAX_GUARDIANS;
use yima_schema::session::ScanRole;
use yima_schema::time::{HOUR, Time};

use super::*;
use crate::cache::tests::store::advance;

/// A parent with a view and a session, who has made an invitation, and the child that has redeemed it.
struct Family {
    node: Node,
    /// The ward.
    parent: String,
    /// The guardian.
    child: String,
    /// The ward's handle.
    ward: String,
}

const PARENT: u8 = 1;
const CHILD: u8 = 2;

impl Node {
    /// A node that folds, with people of whom agencies have sent something.
    async fn with_people() -> Self {
        let node = Self::start().await;
        node.folds();
        for n in [PARENT, CHILD, 3] {
            let data = EventData::Identity { name: format!("{n}*"), born: None, deceased_at: None };
            node.state(n, "identity", now(), data);
            let data = EventData::Vaccination { vaccine: "208".into(), dose: Some(1) };
            node.state(n, "dose", now(), data);
        }
        node
    }

    /// What an agency sends about a subject.
    fn state(&self, n: u8, id: &str, occurred_at: Time, data: EventData) {
        let (agency, document) = ("civil-affairs".to_owned(), format!("E******{n}"));
        let event = Event { subject: subject(n), agency, id: id.into(), revision: 0, document, occurred_at, data };
        self.writer.events.lock().push(event);
        self.writer.fold(subject(n));
    }

    async fn invite(&self, bearer: &str) -> String {
        let (status, body) = self.json("POST", "/v1/guardians/invitations", bearer, &[], Value::Null).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["invitation"].as_str().unwrap().to_owned()
    }

    async fn redeem(&self, bearer: &str, invitation: &str) -> (StatusCode, Value) {
        self.json("POST", "/v1/wards", bearer, &[], json!({ "invitation": invitation })).await
    }

    async fn get(&self, path: &str, bearer: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get(path).header(AUTHORIZATION, bearer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        if path == DISPLAY {
            return display(&self.app, request.headers()).await.into_response();
        }
        router(self.app.clone(), true).oneshot(request).await.unwrap()
    }

    async fn scanned(&self, code: &str, role: ScanRole) -> Value {
        let checkpoint = format!("gate-{}", rand::random::<u32>());
        let (require_test_within_h, looks_up_documents) = (None, false);
        let operator = None;
        let holder = Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator };
        body(self.scan(&self.bearer(holder), code, None).await).await
    }
}

async fn body(answer: Response) -> Value {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
}

fn kind(problem: &Value) -> &str {
    problem["type"].as_str().unwrap().rsplit_once('/').unwrap().1
}

impl Family {
    async fn start() -> Self {
        let node = Node::with_people().await;
        let (parent, child) = (node.citizen(PARENT), node.citizen(CHILD));
        let invitation = node.invite(&parent).await;
        let (status, redeemed) = node.redeem(&child, &format!(" {invitation}\n")).await;
        assert_eq!(status, StatusCode::CREATED, "{redeemed}");
        assert_eq!((&redeemed["name"], &redeemed["until"]), (&json!("1*"), &Value::Null));
        let ward = redeemed["ward"].as_str().unwrap().to_owned();
        Self { node, parent, child, ward }
    }

    fn headers(&self) -> [(&str, &str); 1] {
        [("yima-for", &self.ward)]
    }

    async fn listed(&self, path: &str, bearer: &str) -> Vec<Value> {
        let (status, body) = self.node.json("GET", path, bearer, &[], Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let list = path.rsplit_once('/').unwrap().1;
        body[list].as_array().unwrap().clone()
    }

    async fn code(&self) -> Result<String, Value> {
        let answer = self.node.get("/v1/code", &self.child, &self.headers()).await;
        let is_success = answer.status() == StatusCode::OK;
        let body = body(answer).await;
        if is_success { Ok(body["code"].as_str().unwrap().to_owned()) } else { Err(body) }
    }
}

#[tokio::test]
async fn a_guardian_shows_a_wards_code_and_every_scan_says_so() {
    let family = Family::start().await;
    let node = &family.node;
    let code = family.code().await.unwrap();
    let scanned = node.scanned(&code, ScanRole::Guard).await;
    assert_eq!((&scanned["verdict"], &scanned["guardian"]), (&json!("pass"), &json!(true)));
    assert_eq!(scanned["identity"]["name"], "1*", "whose code it is");
    assert!(scanned["instruction"].as_str().unwrap().starts_with("Shown by a guardian: compare"), "{scanned}");
    let claims = verify(&code, node.app.keyring.load().issuers(), now()).unwrap();
    assert!(claims.guardian);
    // A machine can compare nothing, and lets nobody through whom it would have to; a restriction stays one.
    let turnstile = node.scanned(&code, ScanRole::Turnstile).await;
    assert_eq!((&turnstile["verdict"], &turnstile["reason"]), (&json!("check"), &json!("green")));
    let red = EventData::ColourAssignment { colour: Colour::Red, reason: "quarantine".into(), until: None };
    node.state(PARENT, "red", now(), red);
    for role in [ScanRole::Guard, ScanRole::Turnstile, ScanRole::Hospital] {
        let scanned = node.scanned(&code, role).await;
        assert_eq!((&scanned["verdict"], &scanned["guardian"]), (&json!("stop"), &json!(true)), "{role:?}");
    }
    let own = node.code(&family.parent).await;
    assert!(node.scanned(&own, ScanRole::Guard).await.get("guardian").is_none());
}

#[tokio::test]
async fn a_wards_answers_are_the_guardians_alone_and_no_tag_of_one_person_counts_for_another() {
    let family = Family::start().await;
    let node = &family.node;
    let wards = node.get(DISPLAY, &family.child, &family.headers()).await;
    assert_eq!(wards.headers()["vary"], "authorization, yima-for");
    assert_eq!(wards.headers()[CACHE_CONTROL], "private, no-cache");
    let tag = wards.headers()[ETAG].clone();
    assert_eq!(body(wards).await["identity"]["name"], "1*");
    let own = node.get(DISPLAY, &family.child, &[]).await;
    assert_eq!(own.headers()["vary"], "authorization, yima-for");
    assert_ne!(own.headers()[ETAG], tag);
    assert_eq!(body(own).await["identity"]["name"], "2*");
    let tag = tag.to_str().unwrap();
    let again = node.get(DISPLAY, &family.child, &[("yima-for", &family.ward), ("if-none-match", tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()["vary"], "authorization, yima-for");
    let other = node.get(DISPLAY, &family.child, &[("if-none-match", tag)]).await;
    assert_eq!(other.status(), StatusCode::OK);
    assert_eq!(body(other).await["identity"]["name"], "2*");
}

#[tokio::test]
async fn both_see_it_and_either_ends_it_for_display_code_tokens_and_live_display() {
    for by_ward in [false, true] {
        let family = Family::start().await;
        let node = &family.node;
        let wards = family.listed("/v1/wards", &family.child).await;
        let guardians = family.listed("/v1/guardians", &family.parent).await;
        assert_eq!((wards.len(), &wards[0]["name"], &wards[0]["agency"]), (1, &json!("1*"), &Value::Null));
        assert_eq!((guardians.len(), &guardians[0]["name"], &guardians[0]["phones"]), (1, &json!("2*"), &json!(0)));
        assert!(family.listed("/v1/wards", &family.parent).await.is_empty());
        let started = node.json("POST", "/v1/phones", &family.child, &family.headers(), json!({"name": "Mine"})).await;
        assert_eq!(started.0, StatusCode::CREATED, "{}", started.1);
        let phone = started.1["id"].as_str().unwrap();
        let Ok(batch) = node.tokens_for(&family.child, phone, 5, &family.headers()).await else { panic!("tokens") };
        let shown = node.scanned(&batch.show(now()), ScanRole::Guard).await;
        assert_eq!((&shown["verdict"], &shown["guardian"]), (&json!("pass"), &json!(true)));
        // Neither of the two has the phone for a code of their own.
        for (bearer, headers) in [(&family.parent, &[][..]), (&family.child, &[])] {
            let Err((status, _)) = node.tokens_for(bearer, phone, 1, headers).await else { panic!("tokens") };
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert!(family.listed("/v1/phones", bearer).await.is_empty());
        }
        assert_eq!(family.listed("/v1/guardians", &family.parent).await[0]["phones"], 1);
        let mut live = node.get("/v1/display/events", &family.child, &family.headers()).await.into_body();
        let first = live.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&first).contains("1*"));

        let (path, bearer) = if by_ward {
            (format!("/v1/guardians/{}", guardians[0]["guardian"].as_str().unwrap()), &family.parent)
        } else {
            (format!("/v1/wards/{}", family.ward), &family.child)
        };
        advance(1);
        assert_eq!(node.json("DELETE", &path, bearer, &[], Value::Null).await.0, StatusCode::NO_CONTENT);
        assert_eq!(kind(&family.code().await.unwrap_err()), "not-a-guardian");
        let ended = node.scanned(&batch.show(now()), ScanRole::Guard).await;
        assert_eq!((&ended["reason"], &ended["guardian"]), (&json!("phone_ended"), &json!(true)));
        assert!(ended["identity"].is_null());
        for path in [DISPLAY, "/v1/display/events", "/v1/code", "/v1/phones", "/v1/paper"] {
            let refused = node.get(path, &family.child, &family.headers()).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
            assert_eq!(kind(&body(refused).await), "not-a-guardian", "{path}");
        }
        let Err((status, _)) = node.tokens_for(&family.child, phone, 1, &family.headers()).await else { panic!() };
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(family.listed("/v1/wards", &family.child).await.is_empty());
        assert!(family.listed("/v1/guardians", &family.parent).await.is_empty());
        assert!(live.frame().await.is_none(), "the live display ended");
        // Ended again it stays ended.
        assert_eq!(node.json("DELETE", &path, bearer, &[], Value::Null).await.0, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn an_invitation_makes_one_guardian_within_ten_minutes_while_its_session_lasts() {
    let node = Node::with_people().await;
    let [parent, child, other] = [PARENT, CHILD, 3].map(|n| node.citizen(n));
    let invitation = node.invite(&parent).await;
    let (status, problem) = node.redeem(&parent, &invitation).await;
    assert_eq!((status, kind(&problem)), (StatusCode::BAD_REQUEST, "invalid"), "oneself");
    let (status, redeemed) = node.redeem(&child, &invitation).await;
    assert_eq!(status, StatusCode::CREATED, "{redeemed}");
    let (status, again) = node.redeem(&child, &invitation).await;
    assert_eq!((status, &again["since"]), (StatusCode::OK, &redeemed["since"]));
    let (status, problem) = node.redeem(&other, &invitation).await;
    assert_eq!((status, kind(&problem)), (StatusCode::CONFLICT, "invitation-over"));
    let events = node.writer.events.lock().iter().filter(|event| event.agency == CITIZEN).count();
    assert_eq!(events, 2, "the guardianship, and its notice");

    // Ended, it does not begin again by the same invitation.
    advance(1);
    let ward = redeemed["ward"].as_str().unwrap();
    node.json("DELETE", &format!("/v1/wards/{ward}"), &child, &[], Value::Null).await;
    assert_eq!(kind(&node.redeem(&child, &invitation).await.1), "invitation-over");

    let late = node.invite(&parent).await;
    advance(600_000);
    assert_eq!(kind(&node.redeem(&child, &late).await.1), "invitation-over");
    let of_lost_phone = node.invite(&parent).await;
    let request = Request::delete("/v1/sessions").header(AUTHORIZATION, &parent).body(Body::empty()).unwrap();
    router(node.app.clone(), true).oneshot(request).await.unwrap();
    assert_eq!(kind(&node.redeem(&child, &of_lost_phone).await.1), "invitation-over");
    let refused = node.json("POST", "/v1/guardians/invitations", &parent, &[], Value::Null).await;
    assert_eq!(refused.0, StatusCode::UNAUTHORIZED, "a session that was ended makes none");
}

#[tokio::test]
async fn an_agencys_guardianship_is_over_by_age_and_no_code_lasts_longer() {
    let node = Node::with_people().await;
    let until = now().plus(HOUR);
    let (child, parent) = (PARENT, node.citizen(CHILD));
    let started = GuardianshipChange::Started { until: Some(until) };
    node.state(child, "g-1", now(), EventData::Guardianship { guardian: subject(CHILD), change: started });
    let notice = EventData::Ward { ward: subject(child), is_over: false };
    node.state(CHILD, "notice", now(), notice);
    let (_, listed) = node.json("GET", "/v1/wards", &parent, &[], Value::Null).await;
    let ward = listed["wards"][0].clone();
    assert_eq!((&ward["agency"], &ward["until"]), (&json!("civil-affairs"), &json!(until.to_string())));
    let headers = [("yima-for", ward["ward"].as_str().unwrap())];
    let printed = node.json("GET", "/v1/paper", &parent, &headers, Value::Null).await.1;
    assert!(printed["expires_at"].as_str().unwrap() <= until.to_string().as_str(), "{printed}");
    let phone = node.json("POST", "/v1/phones", &parent, &headers, json!({"name": "Mine"})).await.1;
    let Ok(batch) = node.tokens_for(&parent, phone["id"].as_str().unwrap(), 5, &headers).await else { panic!() };
    let tokens = batch.answer["tokens"].as_array().unwrap();
    let last: Time = tokens[tokens.len() - 1]["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(last <= until, "{last}");
    advance(3_599_000);
    node.writer.fold(subject(child));
    assert_eq!(node.get("/v1/code", &parent, &headers).await.status(), StatusCode::OK);
    advance(1_000);
    assert_eq!(kind(&body(node.get("/v1/code", &parent, &headers).await).await), "not-a-guardian");
    assert_eq!(node.json("GET", "/v1/wards", &parent, &[], Value::Null).await.1["wards"], json!([]));
}

#[tokio::test]
async fn a_handle_is_of_one_guardian_and_every_other_text_is_refused() {
    let family = Family::start().await;
    let node = &family.node;
    let stranger = node.citizen(3);
    let refused = node.get(DISPLAY, &stranger, &family.headers()).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let invitation = node.invite(&family.parent).await;
    for garbage in ["", "x", &family.ward[1..], &"A".repeat(5_000), &invitation] {
        for path in [DISPLAY, "/v1/code", "/v1/phones", "/v1/paper"] {
            let refused = node.get(path, &family.child, &[("yima-for", garbage)]).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path}");
            assert!(body(refused).await["detail"].as_str().unwrap().starts_with("Yima-For: expected"), "{path}");
        }
        if !garbage.is_empty() {
            for path in [format!("/v1/wards/{garbage}"), format!("/v1/guardians/{garbage}")] {
                let status = node.json("DELETE", &path, &family.child, &[], Value::Null).await.0;
                assert_eq!(status, StatusCode::NOT_FOUND);
            }
        }
    }
    let twice = node.get("/v1/code", &family.child, &[("yima-for", &family.ward), ("yima-for", &family.ward)]).await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    // The other side's route, and another citizen, know no such person.
    for (path, bearer) in [
        (format!("/v1/guardians/{}", family.ward), &family.child),
        (format!("/v1/wards/{}", family.ward), &family.parent),
        (format!("/v1/wards/{}", family.ward), &stranger),
    ] {
        assert_eq!(node.json("DELETE", &path, bearer, &[], Value::Null).await.0, StatusCode::NOT_FOUND);
    }
    // Where nobody can act for another.
    for path in ["/v1/history", "/v1/wards", "/v1/guardians"] {
        let refused = node.get(path, &family.child, &family.headers()).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    for sent in [json!({}), json!({"invitation": 7}), json!({"invitation": "x"}), json!({"invitation": family.ward})] {
        let (status, problem) = node.json("POST", "/v1/wards", &family.child, &[], sent.clone()).await;
        assert_eq!((status, kind(&problem)), (StatusCode::BAD_REQUEST, "invalid"), "{sent}");
        assert_eq!(problem["errors"][0]["pointer"], "/invitation", "{sent}");
    }
    let extra = json!({"invitation": invitation, "ward": "x"});
    assert_eq!(node.json("POST", "/v1/wards", &family.child, &[], extra).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(node.json("GET", "/v1/wards", &node.guard(), &[], Value::Null).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_guardians_session_that_was_ended_shows_nobodys_code() {
    let family = Family::start().await;
    let node = &family.node;
    let request = Request::delete("/v1/sessions/current").header(AUTHORIZATION, &family.child);
    let ended = router(node.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    for path in [DISPLAY, "/v1/display/events", "/v1/code", "/v1/phones", "/v1/paper"] {
        let refused = node.get(path, &family.child, &family.headers()).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let again = node.citizen(CHILD);
    assert_eq!(node.get(DISPLAY, &again, &family.headers()).await.status(), StatusCode::OK, "the handle stays good");
}

#[tokio::test]
async fn what_a_guardian_does_counts_against_the_guardian() {
    let family = Family::start().await;
    let node = &family.node;
    let headers = family.headers();
    let statuses = futures::future::join_all((0..8).map(|_| node.get("/v1/code", &family.child, &headers)));
    let refused = statuses.await.iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(refused >= 1);
    assert_eq!(node.get("/v1/code", &family.child, &[]).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(node.get("/v1/code", &family.parent, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_seventeenth_guardian_and_a_fifth_phone_of_one_are_refused() {
    let family = Family::start().await;
    let node = &family.node;
    for n in 0..4 {
        let body = json!({"name": n.to_string()});
        assert_eq!(
            node.json("POST", "/v1/phones", &family.child, &family.headers(), body).await.0,
            StatusCode::CREATED
        );
    }
    let fifth = node.json("POST", "/v1/phones", &family.child, &family.headers(), json!({"name": "5"})).await;
    assert_eq!(kind(&fifth.1), "too-many-phones");
    for n in 1..MAX_GUARDIANS as u8 {
        let change = GuardianshipChange::Started { until: None };
        let data = EventData::Guardianship { guardian: subject(100 + n), change };
        node.state(PARENT, &format!("g-{n}"), now(), data);
    }
    let invitation = node.invite(&family.parent).await;
    assert_eq!(kind(&node.redeem(&node.citizen(3), &invitation).await.1), "too-many-guardianships");
    let (status, _) = node.redeem(&family.child, &invitation).await;
    assert_eq!(status, StatusCode::CREATED, "one of the sixteen may renew");
    node.writer.failing.store(true, Ordering::Relaxed);
    let invitation = node.invite(&family.parent).await;
    assert_eq!(node.redeem(&family.child, &invitation).await.0, StatusCode::SERVICE_UNAVAILABLE);
}
