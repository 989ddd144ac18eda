//! A port with ranks: what a level refuses, and who is refused first when requests wait.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use yima_schema::time::Time;
use yima_service::http::{EdgeLayer, HttpLimits, Ranking, finish};
use yima_service::levels::{ByHand, Class, Levels, LevelsConfig};
use yima_service::lifecycle::Lifecycle;
use yima_service::utilization::Utilization;

use crate::support::{Gate, Server, get as get_from, shared, start_bare};

fn class_of(_: &str, route: &str) -> Class {
    match route {
        "/live" => Class::LiveDisplay,
        "/history" => Class::History,
        "/code" => Class::Code,
        "/display" => Class::Display,
        "/scan" => Class::Scan,
        _ => Class::Public,
    }
}

const ROUTES: [&str; 6] = ["/live", "/history", "/code", "/display", "/scan", "/page"];

/// A server whose routes answer at once, or at the gate with `?`.
async fn start(service: &'static str, limits: &HttpLimits, gate: &Gate) -> (Server, Arc<Levels>) {
    let levels = Levels::new(&LevelsConfig::default());
    let ranking = Ranking { levels: levels.clone(), utilization: Utilization::fixed(0.0), class_of };
    let layer = EdgeLayer::ranked(service, limits, &shared().telemetry, ranking, &Lifecycle::default());
    let answer = |gate: Gate| {
        async move |uri: axum::http::Uri| {
            if uri.query().is_none() {
                return "at once";
            }
            // Counted when it first has to wait, which is before it reaches the gate.
            tokio::task::yield_now().await;
            gate.pass().await
        }
    };
    let router = ROUTES.iter().fold(Router::new(), |router, route| router.route(route, get(answer(gate.clone()))));
    (start_bare(finish(router, &layer), limits).await, levels)
}

#[tokio::test]
async fn a_level_refuses_its_classes_and_every_answer_names_it() {
    let (server, levels) = start("levels", &HttpLimits::default(), &Gate::new()).await;
    for (level, refused) in [(0, 0), (1, 1), (2, 2), (7, 2), (8, 4)] {
        levels.set(Some(ByHand::new(level, Duration::from_secs(60), "test", Time::default()).unwrap()));
        for (n, route) in ROUTES.into_iter().enumerate() {
            let answer = get_from(server.address, route).await;
            assert_eq!(answer.status, if n < refused { 503 } else { 200 }, "{route} at level {level}");
            let named = answer.headers.get("yima-level").map(String::as_str);
            assert_eq!(named, Some(&*level.to_string()).filter(|_| level > 0));
            if n < refused {
                let after: u32 = answer.headers["retry-after"].parse().unwrap();
                assert!((10..=60).contains(&after) && answer.problem() == "unavailable", "{after}");
            }
        }
    }
    let metrics = shared().telemetry.metrics().render();
    for (class, reason, count) in [("live_display", "level", 4), ("history", "level", 3), ("scan", "level", 0)] {
        let counted =
            format!("http_requests_refused_total{{service=\"levels\",class=\"{class}\",reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&counted), "{counted}");
    }
}

#[tokio::test]
async fn a_class_of_lower_rank_is_refused_before_one_of_higher_rank_waits() {
    let (gate, limits) =
        (Gate::new(), HttpLimits { max_in_flight: NonZeroUsize::new(8).unwrap(), ..Default::default() });
    let (server, _) = start("ranks", &limits, &gate).await;
    let mut waiting = Vec::new();
    let mut wait = async |route: &'static str| {
        let address = server.address;
        waiting.push(tokio::spawn(async move { get_from(address, &format!("{route}?")).await.status }));
        gate.reached().await;
    };
    for _ in 0..4 {
        wait("/history").await;
    }
    for route in ["/history", "/live"] {
        assert_eq!(get_from(server.address, route).await.status, 503, "{route}");
    }
    wait("/code").await;
    wait("/code").await;
    assert_eq!(get_from(server.address, "/code?").await.status, 503);
    wait("/display").await;
    // What is answered at once takes no place, so it is never refused.
    for route in ["/code", "/display", "/page", "/scan"] {
        assert_eq!(get_from(server.address, route).await.status, 200, "{route}");
    }
    assert_eq!(get_from(server.address, "/display?").await.status, 503, "it would wait");
    wait("/scan").await;
    assert_eq!(get_from(server.address, "/scan?").await.status, 503, "all places are taken");
    (0..waiting.len()).for_each(|_| gate.open());
    for status in waiting {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_eq!(get_from(server.address, "/history").await.status, 200);
}
