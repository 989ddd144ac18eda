//! x
#![allow(clippy::unwrap_used)]
use std::convert::Infallible;
use axum::{Router, body::Body, http::Request, response::Response, routing::get};
use bytes::Bytes;
use http_body_util::Full;
use yima_service::{http::{self, EdgeLayer, HttpLimits}, lifecycle::Lifecycle, telemetry};
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
static BODY: [u8; 600] = [b'x'; 600];
#[tokio::main]
async fn main() {
    let mode = std::env::args().nth(1).unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 18080)).await.unwrap();
    let limits = HttpLimits::default();
    let life = Lifecycle::default();
    let tele = telemetry::init(&Default::default()).unwrap();
    tele.upkeep(&life);
    let body = Bytes::from_static(&BODY);
    match mode.as_str() {
        "hyper" => loop {
            let (s, _) = listener.accept().await.unwrap();
            s.set_nodelay(true).unwrap();
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(s),
                hyper::service::service_fn(|_r: Request<hyper::body::Incoming>| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&BODY)))) })));
        },
        "axum" => axum_bare(listener, body).await,
        "edge" => {
            let layer = EdgeLayer::new("bench", &limits, &tele);
            let app = http::finish(Router::new().route("/v1/display", get(async move || body.clone())), &layer);
            http::serve(listener, app, &limits, &life).await;
        }
        "serve" => {
            http::serve(listener, Router::new().route("/v1/display", get(async move || body.clone())), &limits, &life).await;
        }
        "hot" => {
            let layer = EdgeLayer::new("bench", &limits, &tele);
            let hot = layer.around("/v1/display", tower::service_fn(move |_r: Request<Body>| { let b = body.clone(); async move { Ok::<_, Infallible>(Response::new(Body::from(b))) } }));
            http::serve(listener, hot, &limits, &life).await;
        }
        "plain" => {
            let hot = tower::service_fn(move |_r: Request<Body>| { let b = body.clone(); async move { Ok::<_, Infallible>(Response::new(Body::from(b))) } });
            http::serve(listener, hot, &limits, &life).await;
        }
        _ => panic!(),
    }
}
async fn axum_bare(listener: tokio::net::TcpListener, body: Bytes) {
    let app: Router = Router::new().route("/v1/display", get(async move || body.clone()));
    loop {
        let (s, _) = listener.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        let app = app.clone();
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(s), hyper_util::service::TowerToHyperService::new(app)));
    }
}
