//! Phones, their tokens, and scans of the codes that they show.

use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use yima_schema::agency::CITIZEN;
use yima_schema::code::{CodeError, PhoneKeyPair, TokenSecret, verify};
use yima_schema::event::{Colour, EventData, EventKind};
use yima_schema::time::{HOUR, Time};

use super::*;
use crate::cache::tests::store::advance;

/// A batch of a phone, with its keys.
pub(super) struct Batch {
    pub(super) answer: Value,
    pairs: Vec<PhoneKeyPair>,
}

impl Batch {
    /// The code of the token in force.
    pub(super) fn show(&self, now: Time) -> String {
        self.show_by(now, now)
    }

    /// The code of the token in force at a moment, by a phone whose clock shows another.
    fn show_by(&self, at: Time, clock: Time) -> String {
        let in_force = |token: &&Value| {
            let time = |field: &str| token[field].as_str().unwrap().parse::<Time>().unwrap();
            time("valid_from") <= at && at < time("expires_at")
        };
        let tokens = self.answer["tokens"].as_array().unwrap();
        let (n, token) = tokens.iter().enumerate().find(|(_, token)| in_force(token)).expect("a token in force");
        let bytes = |field: &str| URL_SAFE_NO_PAD.decode(token[field].as_str().unwrap()).unwrap();
        let secret = TokenSecret::from_bytes(bytes("secret").try_into().unwrap());
        self.pairs[n].show(&bytes("token"), &secret, clock)
    }
}

impl Node {
    pub(super) async fn json(
        &self,
        method: &str,
        path: &str,
        bearer: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(AUTHORIZATION, bearer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = request.header(CONTENT_TYPE, "application/json").body(body).unwrap();
        let answer = router(self.app.clone(), true).oneshot(request).await.unwrap();
        if answer.status().is_success() {
            assert_eq!(answer.headers()[CACHE_CONTROL], "private, no-store", "{method} {path}");
        }
        let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    pub(super) async fn start_phone(&self, bearer: &str, name: &str) -> String {
        let (status, body) = self.json("POST", "/v1/phones", bearer, &[], json!({ "name": name })).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        self.show_written_by(bearer, &[]);
        body["id"].as_str().unwrap().to_owned()
    }

    /// Shows the view of what citizens and agencies wrote, as the feed does.
    pub(super) fn show_written_by(&self, bearer: &str, others: &[StoredEvent]) {
        let session =
            Session::open(bearer.strip_prefix("Bearer ").unwrap(), self.app.keyring.load().sessions()).unwrap();
        let Holder::Citizen { subject } = session.holder else { panic!("a citizen") };
        let own =
            self.writer.events.lock().iter().map(|event| StoredEvent::new(event.clone(), now())).collect::<Vec<_>>();
        let events: Vec<_> = own.into_iter().chain(others.iter().cloned()).collect();
        let (version, view) = (self.store.set(subject), derive(&events, &Rules::built_in()).encode());
        self.app.views.apply(subject, VersionedView { version, view });
    }

    async fn tokens(&self, bearer: &str, phone: &str, count: usize) -> Result<Batch, (StatusCode, Value)> {
        self.tokens_for(bearer, phone, count, &[]).await
    }

    /// The same with further header fields.
    pub(super) async fn tokens_for(
        &self,
        bearer: &str,
        phone: &str,
        count: usize,
        further: &[(&str, &str)],
    ) -> Result<Batch, (StatusCode, Value)> {
        let pairs: Vec<_> = (0..count).map(|_| PhoneKeyPair::generate()).collect();
        let keys = keys_of(&pairs);
        let headers = [&[("yima-phone", phone), ("yima-token-keys", &keys)], further].concat();
        match self.json("GET", "/v1/tokens", bearer, &headers, Value::Null).await {
            (StatusCode::OK, answer) => Ok(Batch { answer, pairs }),
            refused => Err(refused),
        }
    }

    pub(super) async fn reason(&self, code: &str) -> String {
        // Another one each time, so that no limit is reached.
        let guard = self.checkpoint_named(&rand::random::<u32>().to_string(), false);
        let answer = self.scan(&guard, code, None).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(
            ["green", "paper_green", "red"].iter().any(|reason| body["reason"] == *reason)
                || body["identity"].is_null(),
            "{body}"
        );
        body["reason"].as_str().unwrap().to_owned()
    }
}

/// The value of `Yima-Token-Keys`.
pub(super) fn keys_of(pairs: &[PhoneKeyPair]) -> String {
    let keys: Vec<_> = pairs.iter().map(|pair| URL_SAFE_NO_PAD.encode(pair.public().compressed())).collect();
    keys.join(",")
}

/// An event of an agency about the first citizen.
pub(super) fn by_agency(id: &str, data: EventData) -> StoredEvent {
    let (agency, document) = ("lab-7".to_owned(), "E******78".to_owned());
    let event = Event { subject: subject(1), agency, id: id.into(), revision: 0, document, occurred_at: now(), data };
    StoredEvent::new(event, now())
}

pub(super) fn vaccinated() -> StoredEvent {
    by_agency("v-1", EventData::Vaccination { vaccine: "208".into(), dose: Some(1) })
}

#[tokio::test]
async fn phones_are_registered_listed_and_ended_from_another_phone() {
    let node = Node::start().await;
    let [one, other] = [node.citizen(1), node.citizen(1)];
    let (first, second) = (node.start_phone(&one, "Mother's").await, node.start_phone(&one, " 我的手机 ").await);
    {
        let events = node.writer.events.lock();
        assert!(events.iter().all(|event| event.data.kind() == EventKind::Phone && event.agency == CITIZEN));
    }
    let (status, body) = node.json("GET", "/v1/phones", &other, &[], Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let listed = |body: &Value| {
        body["phones"]
            .as_array()
            .unwrap()
            .iter()
            .map(|phone| phone["name"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(listed(&body), ["Mother's", "我的手机"].map(str::to_owned).into());
    assert_eq!((&body["most"], &body["now"]), (&json!(4), &json!(now().to_string())));
    assert_eq!(node.json("GET", "/v1/phones", &node.citizen(2), &[], Value::Null).await.1["phones"], json!([]));

    assert_eq!(
        node.json("DELETE", &format!("/v1/phones/{first}"), &node.citizen(2), &[], Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        node.json("DELETE", &format!("/v1/phones/{first}"), &other, &[], Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    node.show_written_by(&other, &[]);
    assert_eq!(listed(&node.json("GET", "/v1/phones", &one, &[], Value::Null).await.1), ["我的手机".to_owned()].into());
    let upper = second.to_uppercase();
    for path in [first.as_str(), "0", "x", &format!("0{second}"), if upper == second { "X" } else { &upper }] {
        let (status, problem) = node.json("DELETE", &format!("/v1/phones/{path}"), &one, &[], Value::Null).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::NOT_FOUND, &json!("https://yima.dev/problems/unknown-phone")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_fifth_phone_and_a_name_that_is_none_are_refused() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    for name in [json!(""), json!(" \u{200b}"), json!("x".repeat(33)), json!(7), json!("a\u{202e}b")] {
        let (status, problem) = node.json("POST", "/v1/phones", &citizen, &[], json!({ "name": name })).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (StatusCode::BAD_REQUEST, &json!("/name")), "{problem}");
    }
    assert!(node.writer.events.lock().is_empty());
    for n in 0..4 {
        node.start_phone(&citizen, &n.to_string()).await;
    }
    let (status, problem) = node.json("POST", "/v1/phones", &citizen, &[], json!({ "name": "5" })).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("https://yima.dev/problems/too-many-phones")));
    node.writer.failing.store(true, Ordering::Relaxed);
    let (status, _) = node.json("POST", "/v1/phones", &node.citizen(2), &[], json!({ "name": "5" })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_phone_shows_codes_for_a_day_and_a_picture_of_one_is_worth_nothing_after_a_minute() {
    let proved = |config: &mut ReadApiConfig| (config.cache.max_lag, config.cache.max_stale) = (DAY * 2, DAY * 2);
    let node = Node::start_with(0.0, proved).await;
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "Phone").await;
    node.show_written_by(&citizen, &[vaccinated()]);
    let Ok(batch) = node.tokens(&citizen, &phone, 5).await else { panic!("tokens") };
    let begun = now();
    assert_eq!(batch.answer["now"], json!(begun.to_string()));
    let refresh_at: Time = batch.answer["refresh_at"].as_str().unwrap().parse().unwrap();
    assert!((HOUR * 5..=HOUR * 12).contains(&refresh_at.since(begun)), "{refresh_at}");
    // The phone asks for nothing more.
    advance(600_000);
    for _ in 0..23 {
        let code = batch.show(now());
        assert_eq!(node.reason(&code).await, "green");
        assert!(verify(&code, node.app.keyring.load().issuers(), now()).is_ok());
        // Its clock may be wrong by minutes.
        let five_minutes = Duration::from_secs(300);
        assert_eq!(node.reason(&batch.show_by(now(), now().plus(five_minutes))).await, "not_yet_valid");
        assert_eq!(node.reason(&batch.show_by(now(), now().minus(five_minutes))).await, "stale_proof");
        advance(90_000);
        assert_eq!(node.reason(&code).await, "stale_proof", "a picture");
        assert_eq!(verify(&code, node.app.keyring.load().issuers(), now()).err(), Some(CodeError::StaleProof));
        advance(3_510_000);
    }
    let last = now();
    advance(7_200_000);
    assert_eq!(node.reason(&batch.show_by(last, now())).await, "expired");
}

#[tokio::test]
async fn a_token_is_refused_from_the_end_of_its_phone_on_and_so_is_one_of_everywhere() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    for everywhere in [false, true] {
        let phone = node.start_phone(&citizen, "Lost").await;
        node.show_written_by(&citizen, &[vaccinated()]);
        let Ok(batch) = node.tokens(&citizen, &phone, 1).await else { panic!("tokens") };
        assert_eq!(node.reason(&batch.show(now())).await, "green");
        let path = if everywhere { "/v1/sessions".to_owned() } else { format!("/v1/phones/{phone}") };
        let request = Request::builder().method("DELETE").uri(path).header(AUTHORIZATION, &citizen).body(Body::empty());
        let ended = router(node.app.clone(), true).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(ended.status(), StatusCode::NO_CONTENT);
        node.show_written_by(&citizen, &[vaccinated()]);
        assert_eq!(node.reason(&batch.show(now())).await, "phone_ended");
        let Err((status, _)) = node.tokens(&citizen, &phone, 1).await else { panic!("tokens of an ended phone") };
        assert_eq!(status, if everywhere { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND });
        advance(1);
    }
}

#[tokio::test]
async fn tokens_of_a_batch_share_nothing_that_a_scanner_could_follow_but_coarse_facts() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "Phone").await;
    let Ok(batch) = node.tokens(&citizen, &phone, 5).await else { panic!("tokens") };
    let mut parts = HashSet::new();
    let mut at = now();
    for _ in 0..4 {
        let Ok(claims) = verify(&batch.show(at), node.app.keyring.load().issuers(), at) else {
            panic!("a code at {at}")
        };
        let phone = claims.phone.unwrap();
        parts.insert(phone.key.compressed().to_vec());
        parts.insert(phone.denial_tag.0.to_vec());
        for time in [claims.validity.issued_at, claims.validity.valid_from, claims.validity.expires_at] {
            assert_eq!(time.as_secs() % 900, 0);
        }
        assert_eq!(claims.snapshot.unwrap().lag.as_secs() % 900, 0);
        at = claims.validity.expires_at;
    }
    assert_eq!(parts.len(), 8);
    // Tokens after the colour got worse have another tag in the same slot.
    let tag = |batch: &Batch| {
        verify(&batch.show(now()), node.app.keyring.load().issuers(), now())
            .map(|claims| claims.phone.unwrap().denial_tag)
    };
    let red = EventData::ColourAssignment { colour: Colour::Red, reason: "quarantine".into(), until: None };
    node.show_written_by(&citizen, &[by_agency("c-1", red)]);
    let Ok(after) = node.tokens(&citizen, &phone, 1).await else { panic!("tokens") };
    assert_ne!(tag(&batch), tag(&after));
    assert_eq!(node.reason(&batch.show(now())).await, "red", "online the live view counts");
}

#[tokio::test]
async fn a_request_for_tokens_names_its_phone_and_its_keys() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "Phone").await;
    let key = URL_SAFE_NO_PAD.encode(PhoneKeyPair::generate().public().compressed());
    let six = (0..6)
        .map(|_| URL_SAFE_NO_PAD.encode(PhoneKeyPair::generate().public().compressed()))
        .collect::<Vec<_>>()
        .join(",");
    let no_point = URL_SAFE_NO_PAD.encode([&[2][..], &[0; 31], &[1]].concat());
    let uncompressed = URL_SAFE_NO_PAD.encode([4; 65]);
    for (phone, keys, expected) in [
        (phone.as_str(), key.as_str(), StatusCode::OK),
        ("", &key, StatusCode::BAD_REQUEST),
        ("1", &key, StatusCode::BAD_REQUEST),
        ("0000000000000001", &key, StatusCode::NOT_FOUND),
        (&phone, "", StatusCode::BAD_REQUEST),
        (&phone, &six, StatusCode::BAD_REQUEST),
        (&phone, &format!("{key},{key}"), StatusCode::BAD_REQUEST),
        (&phone, &format!("{key},"), StatusCode::BAD_REQUEST),
        (&phone, &no_point, StatusCode::BAD_REQUEST),
        (&phone, &uncompressed, StatusCode::BAD_REQUEST),
    ] {
        let (status, body) = node
            .json("GET", "/v1/tokens", &citizen, &[("yima-phone", phone), ("yima-token-keys", keys)], Value::Null)
            .await;
        assert_eq!(status, expected, "{phone} {keys} {body}");
    }
    assert_eq!(node.json("GET", "/v1/tokens", &citizen, &[], Value::Null).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(node.json("GET", "/v1/tokens", &node.guard(), &[], Value::Null).await.0, StatusCode::FORBIDDEN);
}
