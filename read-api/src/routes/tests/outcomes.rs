//! Counted outcomes of lookups, and requests that cost a load.

use yima_service::rate_limit::RateConfig;

use super::*;

#[tokio::test]
async fn outcomes_add_up_to_requests() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let first = node.display(&citizen, None).await;
    assert_eq!(first.headers()[CACHE_STATUS], "yima; fwd=miss; stored; detail=miss");
    assert_eq!(node.display(&citizen, Some(&first.headers()[ETAG])).await.status(), StatusCode::NOT_MODIFIED);
    // Another node has shown the phone a version that this one does not know yet.
    let newer = node.app.tags.tag(subject(1), node.store.set(subject(1)), 0, Detail::Full);
    let shown = node.display(&citizen, Some(&newer)).await;
    assert_eq!((shown.status(), shown.headers()[ETAG].clone()), (StatusCode::NOT_MODIFIED, newer));
    // And one that the store does not have.
    let unknown = node.app.tags.tag(subject(1), Version(9), 0, Detail::Full);
    assert_eq!(node.display(&citizen, Some(&unknown)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let code = node.code(&citizen).await;
    assert_eq!(node.scan(&node.guard(), &code, None).await.status(), StatusCode::OK);
    assert_eq!(node.outcomes(), as_text(&[("error", 1), ("hit_memory", 3), ("miss", 2)]));
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_counted_as_an_error() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    let (app, bearer) = (node.app.clone(), node.citizen(1));
    let request = Request::get(DISPLAY).header(AUTHORIZATION, bearer).body(()).unwrap();
    let request = tokio::spawn(async move { display(&app, request.headers()).await.is_ok() });
    while node.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(node.outcomes(), as_text(&[("error", 1)]));
}

#[tokio::test]
async fn a_display_has_rate_limit_fields_only_when_less_than_half_is_left() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let first = node.display(&citizen, None).await;
    assert!(!first.headers().contains_key("ratelimit"));
    let mut with_fields = 0;
    for _ in 0..9 {
        let answer = node.display(&citizen, None).await;
        if let Some(left) = answer.headers().get("ratelimit") {
            assert!(left.to_str().unwrap().starts_with("\"display\";r="));
            assert!(answer.headers().contains_key("ratelimit-policy"));
            with_fields += 1;
        }
    }
    assert!(with_fields > 0);
}

#[tokio::test]
async fn all_sessions_of_a_citizen_share_their_quotas() {
    let few = || RateConfig::new(3, Duration::from_secs(3_600));
    let node = Node::start_with(0.0, |config| {
        let limits = &mut config.limits;
        (limits.display, limits.code, limits.history, limits.live_display) = (few(), few(), few(), few());
    })
    .await;
    node.store.write(subject(1));
    let ask = async |n: u8, path: &str| {
        let request = Request::get(path).header(AUTHORIZATION, node.citizen(n)).body(Body::empty()).unwrap();
        let answer = router(node.app.clone(), true).oneshot(request).await.unwrap();
        answer.status()
    };
    for path in [DISPLAY, "/v1/code", "/v1/history", "/v1/display/events"] {
        for _ in 0..3 {
            assert_eq!(ask(1, path).await, StatusCode::OK, "{path}"); // each in a session of its own
        }
        assert_eq!(ask(1, path).await, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_ne!(ask(2, path).await, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
}

#[tokio::test]
async fn a_history_is_the_callers_own() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let ask = async |node: &Node, bearer: &str| {
        let request = Request::get("/v1/history").header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
        router(node.app.clone(), true).oneshot(request).await.unwrap()
    };
    let answer = ask(&node, &node.citizen(1)).await;
    assert_eq!(
        (answer.status(), &answer.headers()[CACHE_CONTROL]),
        (StatusCode::OK, &"private, no-cache".parse().unwrap())
    );
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"decisions":[]}"#);
    assert_eq!(ask(&node, &node.guard()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_code_and_a_history_are_never_older_than_the_display_that_was_shown() {
    let mut node = Node::start().await;
    node.store.write(subject(1));
    node.follower.poll().await.unwrap();
    let citizen = node.citizen(1);
    let ask = async |path: &str, version: Version| {
        let tag = node.app.tags.tag(subject(1), version, 0, Detail::Full);
        let request = Request::get(path).header(AUTHORIZATION, &citizen).header(IF_NONE_MATCH, tag);
        router(node.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    let cached = node.store.version(subject(1));
    // Versions that another node has shown: one that this node does not know yet, and one that the store does not have.
    let unknown = node.store.set(subject(1));
    for path in ["/v1/code", "/v1/history"] {
        assert_eq!(ask(path, cached).await, StatusCode::OK, "never 304");
        assert_eq!(ask(path, Version(unknown.0 + 1)).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    let before = node.lookups();
    assert_eq!(ask("/v1/code", unknown).await, StatusCode::OK);
    assert_eq!(node.lookups(), before, "the load for the request before is new enough");
}

#[tokio::test]
async fn a_proxy_that_changes_the_tag_does_not_lose_the_floor() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let shown = node.display(&citizen, None).await.headers()["etag"].to_str().unwrap().to_owned();
    let text = shown.trim_matches('"');
    // A version that another node has shown, and that the store does not have.
    let newer =
        node.app.tags.tag(subject(1), Version(1 << 60), 0, Detail::Full).to_str().unwrap().trim_matches('"').to_owned();
    let changes: [fn(&str) -> Vec<String>; 4] = [
        |tag| vec![format!("W/\"{tag}\"")],
        |tag| vec![format!("\"{tag}-gzip\"")],
        |tag| vec![format!("W/\"{tag}-gzip\"")],
        |tag| vec!["\"x\"".to_owned(), format!("\"{tag}\"")],
    ];
    for change in changes {
        for (path, tag, expected) in [
            (DISPLAY, text, None),
            (DISPLAY, &newer, Some(StatusCode::SERVICE_UNAVAILABLE)),
            ("/v1/code", &newer, Some(StatusCode::SERVICE_UNAVAILABLE)),
            ("/v1/history", &newer, Some(StatusCode::SERVICE_UNAVAILABLE)),
        ] {
            let mut request = Request::get(path).header(AUTHORIZATION, &citizen);
            for field in change(tag) {
                request = request.header(IF_NONE_MATCH, field);
            }
            let request = request.body(Body::empty()).unwrap();
            let answer = if path == DISPLAY {
                display(&node.app, request.headers()).await.into_response()
            } else {
                router(node.app.clone(), true).oneshot(request).await.unwrap()
            };
            let status = answer.status();
            assert!(expected.map_or(status.is_success() || status == 304, |expected| status == expected), "{status}");
        }
    }
}

#[tokio::test]
async fn a_forged_tag_costs_no_load() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.write(subject(2));
    let citizen = node.citizen(1);
    node.display(&citizen, None).await;
    let (before, elsewhere) = (node.lookups(), crate::etag::EntityTags::new(&[9; 32], "xian", None));
    for forged in [
        elsewhere.tag(subject(1), Version(9), 0, Detail::Full),
        node.app.tags.tag(subject(2), Version(9), 0, Detail::Full),
    ] {
        assert_eq!(node.display(&citizen, Some(&forged)).await.status(), StatusCode::OK);
    }
    assert_eq!(node.lookups(), before);
}

#[tokio::test]
async fn a_rejected_call_of_the_store_is_a_503_that_blames_no_stored_view() {
    let node = Node::start().await;
    node.store.write(subject(1));
    node.store.rejecting.store(true, Ordering::Relaxed);
    let answer = node.display(&node.citizen(1), None).await;
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"30".parse().unwrap())
    );
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(problem["type"].as_str().unwrap().ends_with("unavailable"), "{problem}");
    assert!(problem["detail"].as_str().unwrap().starts_with("The database refuses this service"), "{problem}");
    assert_eq!(node.outcomes(), as_text(&[("error", 1)]));
}

#[tokio::test]
async fn every_metric_is_described() {
    let node = Node::start().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        node.app.report();
        crate::routes::live_display::register_metrics();
    });
    let rendered = node.metrics.render() + &recorder.handle().render();
    let names: Vec<&str> =
        rendered.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.contains(&"cache_requests_total") && names.contains(&"cache_generation"), "{names:?}");
    for name in names {
        let mut known = crate::metrics::METRICS.iter().chain(yima_service::telemetry::METRICS);
        assert!(known.any(|metric| metric.name == name), "{name}");
    }
}
