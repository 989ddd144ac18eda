//! `Yima-At-Least-As-Fresh`.

use std::pin::pin;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use yima_schema::time::Time;
use yima_service::rate_limit::RateConfig;
use yima_store::VersionedView;

use super::*;

const HEADER: &str = "yima-at-least-as-fresh";
const CHENGDU: &str = "chengdu";

fn token_of(node: &Node, n: u8, region: &str, version: Version, moment: Time) -> String {
    Freshness { region: region.into(), subject: subject(n), version, moment }.seal(&node.app.freshness)
}

fn own(node: &Node, n: u8, version: Version) -> String {
    token_of(node, n, "xian", version, now())
}

async fn get(node: &Node, path: &str, bearer: &str, token: &str) -> (StatusCode, Value) {
    let request = Request::get(path).header(AUTHORIZATION, bearer).header(HEADER, token).body(Body::empty()).unwrap();
    answer(if path == DISPLAY {
        display(&node.app, request.headers()).await.into_response()
    } else {
        router(node.app.clone(), true).oneshot(request).await.unwrap()
    })
    .await
}

async fn post(node: &Node, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path).header(AUTHORIZATION, node.guard()).header(CONTENT_TYPE, "application/json");
    let request = request.header(HEADER, token).body(Body::from(body.to_string())).unwrap();
    answer(router(node.app.clone(), true).oneshot(request).await.unwrap()).await
}

async fn answer(answer: Response) -> (StatusCode, Value) {
    let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[track_caller]
fn assert_being_updated((status, body): (StatusCode, Value)) {
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(body["type"].as_str().unwrap().ends_with("/being-updated"), "{body}");
}

#[tokio::test]
async fn in_its_own_region_a_token_demands_its_version_of_every_answer() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let code = node.code(&citizen).await;
    // Each next version is in the store; the follower has not read its change, so memory has an older one.
    for path in [DISPLAY, "/v1/code", "/v1/history"] {
        let token = own(&node, 1, node.store.set(subject(1)));
        let cached = node.app.views.peek(subject(1), Version::ABSENT, now()).unwrap().entry.version();
        let (status, body) = get(&node, path, &citizen, &token).await;
        let (shown, version) = (node.app.views.newest(subject(1)), node.store.version(subject(1)));
        assert_eq!((status, shown), (StatusCode::OK, version), "{path}: {body}");
        assert!(cached < version);
    }
    let token = own(&node, 1, node.store.set(subject(1)));
    assert_eq!(post(&node, "/v1/scan", &token, json!({ "code": code })).await.0, StatusCode::OK);
    assert_eq!(node.app.views.newest(subject(1)), node.store.version(subject(1)));
    // A version that the store does not have.
    let token = own(&node, 1, Version(99));
    for path in [DISPLAY, "/v1/code", "/v1/history"] {
        assert_being_updated(get(&node, path, &citizen, &token).await);
    }
    assert_being_updated(post(&node, "/v1/scan", &token, json!({ "code": code })).await);
    node.store.failing.store(true, Ordering::Relaxed);
    assert_being_updated(get(&node, DISPLAY, &citizen, &token).await);
    assert_eq!(get(&node, DISPLAY, &citizen, &own(&node, 1, Version(1))).await.0, StatusCode::OK, "from memory");
}

#[tokio::test(start_paused = true)]
async fn elsewhere_an_answer_waits_for_the_tokens_moment() {
    let mut node = Node::start().await;
    node.store.write(subject(1));
    node.follower.poll().await.unwrap();
    let (citizen, moment) = (node.citizen(1), Time::from_secs(500));
    let token = token_of(&node, 1, CHENGDU, Version(1 << 50), moment);
    let began = tokio::time::Instant::now();
    assert_being_updated(get(&node, DISPLAY, &citizen, &token).await);
    assert!(began.elapsed() <= Duration::from_secs(1));
    // Up to the moment itself is not beyond it.
    *node.store.regions.lock() = vec![(CHENGDU.into(), Some(moment))];
    node.follower.poll().await.unwrap();
    assert_being_updated(get(&node, DISPLAY, &citizen, &token).await);

    let (app, headers) = (node.app.clone(), (citizen.clone(), token.clone()));
    let request = Request::get(DISPLAY).header(AUTHORIZATION, &headers.0).header(HEADER, &headers.1).body(()).unwrap();
    let mut waiting = pin!(display(&app, request.headers()));
    assert!(futures::poll!(&mut waiting).is_pending());
    *node.store.regions.lock() = vec![(CHENGDU.into(), Some(moment.plus(Duration::from_millis(1))))];
    node.follower.poll().await.unwrap();
    assert_eq!(waiting.await.into_response().status(), StatusCode::OK);
    let lookups = node.lookups();
    assert_eq!(get(&node, DISPLAY, &citizen, &token).await.0, StatusCode::OK);
    assert_eq!(node.lookups(), lookups, "from memory");
    let unknown = token_of(&node, 1, "guangdong", Version(1), moment);
    assert_being_updated(get(&node, DISPLAY, &citizen, &unknown).await);
    let outcomes = node.outcomes();
    assert!(outcomes.contains(&("error".to_owned(), 3)), "a wait without an answer is an error: {outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_another_region_hasten_the_polls_and_share_them() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let (views, minute) = (node.app.views.clone(), Duration::from_secs(60));
    let follower = Follower::start(node.store.clone(), views.clone(), minute, now).await.unwrap();
    let following = tokio::spawn(follower.run(mpsc::channel(1).1));
    let polls = || node.store.registries.load(Ordering::Relaxed);
    let moment = Time::from_secs(500);
    let token = Freshness { region: CHENGDU.into(), subject: subject(1), version: Version(9), moment };
    let ask = async || views.get_at_least(&token, "xian", Version::ABSENT, false).await.is_ok();

    tokio::time::sleep(minute / 2).await;
    let before = polls();
    let answered = futures::future::join_all((0..500).map(|_| ask())).await;
    assert!(!answered.contains(&true));
    assert!((8..=10).contains(&(polls() - before)), "{} polls in 0.9 s", polls() - before);
    // Nobody waits any more; one poll may have been due.
    let before = polls();
    tokio::time::sleep(minute / 4).await;
    assert!(polls() <= before + 1);

    let passes = async {
        tokio::time::sleep(Duration::from_millis(350)).await;
        *node.store.regions.lock() = vec![(CHENGDU.into(), Some(moment.plus(Duration::from_millis(1))))];
    };
    let began = tokio::time::Instant::now();
    let (is_answered, ()) = tokio::join!(ask(), passes);
    assert!(is_answered && began.elapsed() < Duration::from_millis(460), "{:?}", began.elapsed());
    following.abort();
}

#[tokio::test]
async fn an_entry_of_an_ended_generation_does_not_have_another_regions_event() {
    let mut node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    assert_eq!(node.display(&citizen, None).await.status(), StatusCode::OK);
    // The event's change expires unread, then the other region is followed beyond the event.
    let version = node.store.write(subject(1));
    node.store.expire();
    crate::cache::tests::store::advance(1);
    *node.store.regions.lock() = vec![(CHENGDU.into(), Some(Time::from_secs(501)))];
    node.follower.poll().await.unwrap();
    assert!(node.app.views.newest(subject(1)) < version, "the change was not read");
    let token = token_of(&node, 1, CHENGDU, Version(9), Time::from_secs(500));
    assert_eq!(get(&node, DISPLAY, &citizen, &token).await.0, StatusCode::OK);
    assert_eq!(node.app.views.newest(subject(1)), version);
}

#[tokio::test]
async fn only_a_genuine_token_of_the_same_subject_is_taken() {
    let node = Node::start_with(0.0, |config| {
        let many = || RateConfig::new(1_000, Duration::from_secs(1));
        (config.limits.code, config.limits.history) = (many(), many());
        (config.limits.display, config.limits.live_display) = (many(), many());
    })
    .await;
    node.store.write(subject(1));
    let (citizen, other) = (node.citizen(1), own(&node, 2, Version(1)));
    let code = json!({ "code": node.code(&citizen).await });
    let own = own(&node, 1, Version(1));
    let elsewhere = PseudonymKey::from_bytes(&[9; 32]).seal_keys("freshness");
    let content = Freshness { region: "xian".into(), subject: subject(1), version: Version(1), moment: now() };
    for wrong in ["", "x", &own[1..], &format!("{own}A"), &other, &content.seal(&elsewhere)] {
        for path in [DISPLAY, "/v1/code", "/v1/history", "/v1/display/events"] {
            let (status, body) = get(&node, path, &citizen, wrong).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(body["detail"].as_str().unwrap().starts_with("Yima-At-Least-As-Fresh: expected"), "{body}");
        }
        assert_eq!(post(&node, "/v1/scan", wrong, code.clone()).await.0, StatusCode::BAD_REQUEST);
    }
    // No answer to many codes is about one subject.
    let (status, body) = post(&node, "/v1/scans", &own, json!({ "codes": [code["code"]] })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    let twice = Request::get("/v1/code").header(AUTHORIZATION, &citizen).header(HEADER, &own).header(HEADER, &own);
    let answer = router(node.app.clone(), true).oneshot(twice.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    // A code that resolves to nobody has its verdict.
    assert_eq!(post(&node, "/v1/scan", &own, json!({ "code": "YM1:X" })).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_bypass_with_a_token_still_loads() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let code = json!({ "code": node.code(&node.citizen(1)).await });
    let view = crate::cache::tests::store::view(subject(1));
    node.app.views.apply(subject(1), VersionedView { version: Version(1), view });
    let (token, lookups) = (own(&node, 1, Version(1)), node.lookups());
    let request = Request::post("/v1/scan").header(AUTHORIZATION, node.guard()).header(HEADER, token);
    let request = request.header(CONTENT_TYPE, "application/json").header(CACHE_CONTROL, "no-cache");
    let answer =
        router(node.app.clone(), true).oneshot(request.body(Body::from(code.to_string())).unwrap()).await.unwrap();
    assert_eq!(answer.headers()[CACHE_STATUS], "yima; fwd=request; stored; detail=bypass");
    assert_eq!(node.lookups(), lookups + 1);
}

#[tokio::test]
async fn a_live_display_begins_no_older_than_its_token() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    node.display(&citizen, None).await;
    let version = node.store.set(subject(1));
    let request = Request::get("/v1/display/events").header(AUTHORIZATION, &citizen);
    let request = request.header(HEADER, own(&node, 1, version)).body(Body::empty()).unwrap();
    let answer = router(node.app.clone(), true).oneshot(request).await.unwrap();
    let first = answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains(&format!("\"version\":{}", version.0)), "{first:?}");
}
