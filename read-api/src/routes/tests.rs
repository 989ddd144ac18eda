//! Routes over a store in memory: what is counted and what is asked of the store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CACHE_STATUS, ETAG, IF_NONE_MATCH};
use axum::response::Response;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use yima_schema::code::IssuerKey;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::PseudonymKey;
use yima_schema::time::DAY;
use yima_schema::view::Version;
use yima_service::jwt::{Issuer, Verifier};

use super::*;
use crate::app::Keys;
use crate::cache::Views;
use crate::cache::follower::Follower;
use crate::cache::tests::store::{TestStore, now, subject};
use crate::config::ReadApiConfig;

struct Node {
    app: Arc<App>,
    store: Arc<TestStore>,
    metrics: PrometheusHandle,
    /// Cancelled, nobody follows; kept, it follows when a test polls.
    _follower: Follower,
}

impl Node {
    async fn start() -> Self {
        let (store, recorder) = (TestStore::new(), PrometheusBuilder::new().build_recorder());
        let mut config = ReadApiConfig::default();
        (config.cache.memory_bytes, config.cache.absent_bytes) = (1 << 20, 1 << 20);
        let views = metrics::with_local_recorder(&recorder, || Views::new(store.clone(), &config.cache, None, now));
        let follower = Follower::start(store.clone(), views.clone(), Duration::from_millis(1), now).await.unwrap();
        let issuer = Issuer::from_pkcs8(&Issuer::generate().unwrap().0, "test").unwrap();
        let jwks = serde_json::to_string(&issuer.jwks()).unwrap();
        let keys = Keys {
            pseudonyms: PseudonymKey::from_bytes(&[1; 32]),
            issuer: IssuerKey::from_pkcs8(&IssuerKey::generate()).unwrap(),
            seal: vec![[2; 32]],
            identity_provider: Verifier::from_jwks(&jwks, "test").unwrap(),
        };
        let app = App::new(views, config, "xian", keys, now);
        Self { app, store, metrics: recorder.handle(), _follower: follower }
    }

    fn bearer(&self, holder: Holder) -> String {
        let session = Session { id: rand::random(), expires_at: now().plus(DAY), holder };
        format!("Bearer {}", session.seal(&self.app.sessions))
    }

    fn citizen(&self, n: u8) -> String {
        self.bearer(Holder::Citizen { subject: subject(n) })
    }

    async fn display(&self, bearer: &str, shown: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(DISPLAY).header(AUTHORIZATION, bearer);
        if let Some(shown) = shown {
            request = request.header(IF_NONE_MATCH, shown);
        }
        display(self.app.clone(), request.body(Body::empty()).unwrap()).await.into_response()
    }

    async fn code(&self, bearer: &str) -> String {
        let request = Request::get("/v1/code").header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
        let answer = router(self.app.clone()).oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"].as_str().unwrap().to_owned()
    }

    fn guard(&self) -> String {
        self.bearer(Holder::Checkpoint { checkpoint: "gate-1".into(), require_test_within_h: None })
    }

    async fn scan(&self, bearer: &str, code: &str, cache_control: Option<&str>) -> Response {
        let mut request =
            Request::post("/v1/scan").header(AUTHORIZATION, bearer).header(CONTENT_TYPE, "application/json");
        if let Some(cache_control) = cache_control {
            request = request.header(CACHE_CONTROL, cache_control);
        }
        let body = serde_json::json!({ "code": code }).to_string();
        router(self.app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    /// What was counted under `cache_requests_total`, by outcome, without those that never were.
    fn outcomes(&self) -> Vec<(String, u64)> {
        let counted = |line: &str| {
            let (outcome, count) =
                line.strip_prefix("cache_requests_total{")?.split_once("outcome=\"")?.1.split_once("\"} ")?;
            let count = count.parse().unwrap();
            (count > 0).then(|| (outcome.to_owned(), count))
        };
        let mut outcomes: Vec<_> = self.metrics.render().lines().filter_map(counted).collect();
        outcomes.sort();
        outcomes
    }

    fn lookups(&self) -> usize {
        self.store.lookups.load(Ordering::Relaxed)
    }
}

fn as_text(outcomes: &[(&str, u64)]) -> Vec<(String, u64)> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

#[tokio::test]
async fn outcomes_add_up_to_requests() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let me = node.citizen(1);
    let first = node.display(&me, None).await;
    assert_eq!(first.headers()[CACHE_STATUS], "yima; fwd=miss; stored; detail=miss");
    assert_eq!(node.display(&me, Some(&first.headers()[ETAG])).await.status(), StatusCode::NOT_MODIFIED);
    // Another node has shown the phone a version that this one has not heard of.
    let newer = node.app.tags.tag(subject(1), node.store.set(subject(1)), 0);
    let shown = node.display(&me, Some(&newer)).await;
    assert_eq!((shown.status(), shown.headers()[ETAG].clone()), (StatusCode::NOT_MODIFIED, newer));
    // And one that nobody has.
    let unheard_of = node.app.tags.tag(subject(1), Version(9), 0);
    assert_eq!(node.display(&me, Some(&unheard_of)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let code = node.code(&me).await;
    assert_eq!(node.scan(&node.guard(), &code, None).await.status(), StatusCode::OK);
    assert_eq!(node.outcomes(), as_text(&[("error", 1), ("hit_memory", 3), ("miss", 2)]));
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_counted_too() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (app, bearer) = (node.app.clone(), node.citizen(1));
    let request = Request::get(DISPLAY).header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
    let asked = tokio::spawn(async move { display(app, request).await.is_ok() });
    while node.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    assert_eq!(node.outcomes(), as_text(&[("error", 1)]));
}

#[tokio::test]
async fn a_tag_that_was_not_given_costs_no_load() {
    let node = Node::start().await;
    (node.store.write(subject(1)), node.store.write(subject(2)));
    let me = node.citizen(1);
    node.display(&me, None).await;
    let (before, elsewhere) = (node.lookups(), crate::etag::EntityTags::new(&[9; 32], "xian"));
    for forged in [elsewhere.tag(subject(1), Version(9), 0), node.app.tags.tag(subject(2), Version(9), 0)] {
        assert_eq!(node.display(&me, Some(&forged)).await.status(), StatusCode::OK);
    }
    assert_eq!(node.lookups(), before);
}

#[tokio::test]
async fn a_guard_may_ask_past_the_cache_within_a_quota() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let (me, guard) = (node.citizen(1), node.guard());
    let code = node.code(&me).await;
    // Nothing tells the node of the next version: only who asks the store can know it.
    for directive in ["no-cache", "max-age=0, No-Store", "no-cache", "no-cache", "no-cache"] {
        node.store.set(subject(1));
        let scan = node.scan(&guard, &code, Some(directive)).await;
        assert_eq!(scan.headers()[CACHE_STATUS], "yima; fwd=request; stored; detail=bypass");
        assert!(
            scan.headers().get_all("ratelimit").iter().any(|left| left.to_str().unwrap().starts_with("\"reload\";r="))
        );
    }
    let asked = node.lookups();
    assert_eq!(asked, 6);
    let over = node.scan(&guard, &code, Some("no-cache")).await;
    assert_eq!(
        (over.status(), &over.headers()[CACHE_STATUS]),
        (StatusCode::OK, &"yima; hit; detail=hit_memory".parse().unwrap())
    );
    assert!(over.headers().get_all("ratelimit").iter().any(|left| left == "\"reload\";r=0;t=60"));
    // A plain scan, and a citizen who asks the same, are answered as usual.
    let plain = node.scan(&guard, &code, None).await;
    assert!(plain.headers().get_all("ratelimit").iter().all(|left| !left.to_str().unwrap().contains("reload")));
    let request = Request::get(DISPLAY).header(AUTHORIZATION, &me).header(CACHE_CONTROL, "no-cache");
    let answer = display(node.app.clone(), request.body(Body::empty()).unwrap()).await.into_response();
    assert_eq!(answer.headers()[CACHE_STATUS], "yima; hit; detail=hit_memory");
    assert_eq!(node.lookups(), asked);
    assert_eq!(node.outcomes(), as_text(&[("bypass", 5), ("hit_memory", 3), ("miss", 1)]));
}

#[tokio::test]
async fn who_asks_past_the_cache_gets_what_is_held_when_the_store_is_dead() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let code = node.code(&node.citizen(1)).await;
    node.store.failing.store(true, Ordering::Relaxed);
    let scan = node.scan(&node.guard(), &code, Some("no-cache")).await;
    assert_eq!(
        (scan.status(), &scan.headers()[CACHE_STATUS]),
        (StatusCode::OK, &"yima; hit; detail=hit_memory".parse().unwrap())
    );
    assert_eq!(node.outcomes(), as_text(&[("hit_memory", 1), ("miss", 1)]));
}

#[tokio::test]
async fn who_asks_past_the_cache_joins_no_load_that_began_before() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let views = node.app.views.clone();
    node.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let begun = tokio::spawn({
        let views = views.clone();
        async move { views.get(subject(1), Version::ABSENT).await.is_ok() }
    });
    while node.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    node.store.set(subject(1)); // the load has read version 1 and waits
    let asked = tokio::spawn(async move { views.reload(subject(1), Version::ABSENT).await });
    tokio::task::yield_now().await;
    node.store.gate.add_permits(Semaphore::MAX_PERMITS);
    assert!(begun.await.unwrap());
    assert_eq!(asked.await.unwrap().ok().unwrap().entry.held.version, Version(2));
}
