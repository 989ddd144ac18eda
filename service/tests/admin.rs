//! The admin port.

use axum::Router;
use axum::routing::get;
use yima_service::admin;
use yima_service::http::HttpLimits;

use crate::support::{get as get_from, shared, start, start_bare};

#[tokio::test]
async fn a_process_is_live_before_it_is_ready_and_while_it_stops() {
    let life = yima_service::lifecycle::Lifecycle::default();
    let cache = life.readiness().hold("cache");
    let app = admin::router(life.readiness().clone(), shared().telemetry.metrics().clone());
    let admin = start_bare(app, &HttpLimits::default()).await;
    let before = get_from(admin.address, "/health/ready").await;
    assert_eq!((before.status, before.body.as_str()), (503, r#"{"waiting_for":["cache"]}"#));
    cache.release();
    assert_eq!(get_from(admin.address, "/health/ready").await.status, 200);
    life.readiness().stopping();
    let stopping = get_from(admin.address, "/health/ready").await;
    assert_eq!((stopping.status, stopping.body.as_str()), (503, r#"{"waiting_for":["stopping"]}"#));
    assert_eq!(get_from(admin.address, "/health/live").await.status, 200);
}

#[tokio::test]
async fn metrics_have_the_route_and_never_the_path() {
    let app = Router::new().route("/v1/jobs/{id}", get(async || "job"));
    let server = start("by_route", app, &HttpLimits::default()).await;
    for path in ["/v1/jobs/secret-1", "/v1/jobs/secret-2", "/secret-3"] {
        get_from(server.address, path).await;
    }
    let metrics = shared().telemetry.metrics().clone();
    let admin = start_bare(admin::router(server.life.readiness().clone(), metrics), &HttpLimits::default()).await;
    let text = get_from(admin.address, "/metrics").await.body;
    for line in [
        r#"http_requests_total{service="by_route",method="GET",route="/v1/jobs/{id}",status="200"} 2"#,
        r#"http_requests_total{service="by_route",method="GET",route="unmatched",status="404"} 1"#,
        r#"http_requests_total{service="by_route",method="GET",route="/v1/jobs/{id}",status="500"} 0"#,
        r#"http_request_duration_seconds_count{service="by_route",method="GET",route="/v1/jobs/{id}"} 2"#,
        r#"http_request_duration_seconds_bucket{service="by_route",method="GET",route="/v1/jobs/{id}",le="0.0001"}"#,
        r#"http_requests_in_flight{service="by_route"} 0"#,
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
        "# HELP http_requests_total Answered requests",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}
