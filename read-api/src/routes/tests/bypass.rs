//! `Cache-Control: no-cache` from a checkpoint.

use super::*;

#[tokio::test]
async fn a_guard_may_bypass_the_cache_within_a_quota() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let (citizen, guard) = (node.citizen(1), node.guard());
    let code = node.code(&citizen).await;
    // No change announces the next version: only a call of the store finds it.
    for directive in ["no-cache", "max-age=0, No-Store", "no-cache", "no-cache", "no-cache"] {
        node.store.set(subject(1));
        let scan = node.scan(&guard, &code, Some(directive)).await;
        assert_eq!(scan.headers()[CACHE_STATUS], "yima; fwd=request; stored; detail=bypass");
        assert!(
            scan.headers().get_all("ratelimit").iter().any(|left| left.to_str().unwrap().starts_with("\"bypass\";r="))
        );
    }
    let lookups = node.lookups();
    assert_eq!(lookups, 6);
    let over = node.scan(&guard, &code, Some("no-cache")).await;
    assert_eq!(
        (over.status(), &over.headers()[CACHE_STATUS]),
        (StatusCode::OK, &"yima; hit; detail=hit_memory".parse().unwrap())
    );
    assert!(over.headers().get_all("ratelimit").iter().any(|left| left == "\"bypass\";r=0;t=60"));
    // A plain scan, and a citizen's request with the same directive, are answered from the cache.
    let plain = node.scan(&guard, &code, None).await;
    assert!(plain.headers().get_all("ratelimit").iter().all(|left| !left.to_str().unwrap().contains("bypass")));
    let request = Request::get(DISPLAY).header(AUTHORIZATION, &citizen).header(CACHE_CONTROL, "no-cache");
    let answer = display(&node.app, request.body(()).unwrap().headers()).await.into_response();
    assert_eq!(answer.headers()[CACHE_STATUS], "yima; hit; detail=hit_memory");
    assert_eq!(node.lookups(), lookups);
    assert_eq!(node.outcomes(), as_text(&[("bypass", 5), ("hit_memory", 3), ("miss", 1)]));
}

#[tokio::test]
async fn a_bypass_is_answered_from_the_cache_when_the_store_is_down() {
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
async fn a_bypass_joins_no_load_that_began_before() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let views = node.app.views.clone();
    node.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let earlier = tokio::spawn({
        let views = views.clone();
        async move { views.get(subject(1), Version::ABSENT).await.is_ok() }
    });
    while node.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    node.store.set(subject(1)); // the load has read version 1 and waits
    let bypass = tokio::spawn(async move { views.bypass(subject(1), Version::ABSENT).await });
    tokio::task::yield_now().await;
    node.store.gate.add_permits(Semaphore::MAX_PERMITS);
    assert!(earlier.await.unwrap());
    assert_eq!(bypass.await.unwrap().ok().unwrap().entry.version(), Version(2));
}
