//! What is counted, and what costs a load.

use super::*;

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
    let request = Request::get(DISPLAY).header(AUTHORIZATION, bearer).body(()).unwrap();
    let asked = tokio::spawn(async move { display(&app, request.headers()).await.is_ok() });
    while node.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    assert_eq!(node.outcomes(), as_text(&[("error", 1)]));
}

#[tokio::test]
async fn a_display_tells_of_its_limit_when_less_than_half_is_left() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let me = node.citizen(1);
    let first = node.display(&me, None).await;
    assert!(!first.headers().contains_key("ratelimit"));
    let mut told = 0;
    for _ in 0..9 {
        let answer = node.display(&me, None).await;
        if let Some(left) = answer.headers().get("ratelimit") {
            assert!(left.to_str().unwrap().starts_with("\"display\";r="));
            assert!(answer.headers().contains_key("ratelimit-policy"));
            told += 1;
        }
    }
    assert!(told > 0);
}

#[tokio::test]
async fn a_history_is_the_callers_own_and_goes_first_when_it_is_busy() {
    let node = Node::start_busy(0.79).await;
    node.store.write(subject(1));
    let ask = async |node: &Node, bearer: &str| {
        let request = Request::get("/v1/history").header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
        router(node.app.clone()).oneshot(request).await.unwrap()
    };
    let answer = ask(&node, &node.citizen(1)).await;
    assert_eq!(
        (answer.status(), &answer.headers()[CACHE_CONTROL]),
        (StatusCode::OK, &"private, no-cache".parse().unwrap())
    );
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"decisions":[]}"#);
    assert_eq!(ask(&node, &node.guard()).await.status(), StatusCode::FORBIDDEN);
    let busy = Node::start_busy(0.8).await;
    let me = busy.citizen(1);
    let refused = ask(&busy, &me).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"30".parse().unwrap())
    );
    assert_eq!(busy.display(&me, None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_code_and_a_history_are_of_nothing_older_than_the_display_that_was_shown() {
    let mut node = Node::start().await;
    node.store.write(subject(1));
    node.follower.poll().await.unwrap();
    let me = node.citizen(1);
    let ask = async |path: &str, version: Version| {
        let tag = node.app.tags.tag(subject(1), version, 0);
        let request = Request::get(path).header(AUTHORIZATION, &me).header(IF_NONE_MATCH, tag);
        router(node.app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    let held = node.store.version(subject(1));
    // Another node has shown what this one has not heard of, and what nobody can load yet.
    let unheard_of = node.store.set(subject(1));
    for path in ["/v1/code", "/v1/history"] {
        assert_eq!(ask(path, held).await, StatusCode::OK, "never 304");
        assert_eq!(ask(path, Version(unheard_of.0 + 1)).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    let before = node.lookups();
    assert_eq!(ask("/v1/code", unheard_of).await, StatusCode::OK);
    assert_eq!(node.lookups(), before, "what was loaded for the one before is new enough");
}

#[tokio::test]
async fn a_tag_that_was_not_given_costs_no_load() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.write(subject(2));
    let me = node.citizen(1);
    node.display(&me, None).await;
    let (before, elsewhere) = (node.lookups(), crate::etag::EntityTags::new(&[9; 32], "xian", None));
    for forged in [elsewhere.tag(subject(1), Version(9), 0), node.app.tags.tag(subject(2), Version(9), 0)] {
        assert_eq!(node.display(&me, Some(&forged)).await.status(), StatusCode::OK);
    }
    assert_eq!(node.lookups(), before);
}
