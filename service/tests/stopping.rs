//! Stopping finishes requests under way and accepts no new ones.

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yima_service::http::HttpLimits;
use yima_service::lifecycle::{Ended, Signals};

use crate::support::{Gate, Server, answer, start, until_closed};

async fn server(service: &'static str) -> (Server, Gate) {
    let gate = Gate::new();
    let inside = gate.clone();
    let app =
        Router::new().route("/wait", get(async move || inside.pass().await)).route("/hello", get(async || "hello"));
    (start(service, app, &HttpLimits::default()).await, gate)
}

#[tokio::test]
async fn a_stop_finishes_requests_under_way_and_closes_idle_connections() {
    let (server, gate) = server("graceful").await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut seen = [0; 12];
    idle.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 200");
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    gate.reached().await;

    let life = server.life.clone();
    let stopped = tokio::spawn(async move { life.run_until_stopped(Signals::install().unwrap()).await });
    server.life.stop();
    until_closed(&mut idle).await;
    assert!(server.life.soft().is_cancelled() && !server.life.hard().is_cancelled());
    assert_eq!(server.life.readiness().waiting_for(), ["stopping"]);
    // The listener is gone once the accept loop is.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gate.open();
    let finished = answer(&mut busy).await;
    assert_eq!((finished.status, finished.body.as_str()), (200, "passed"));
    assert_eq!(stopped.await.unwrap(), Ended::Requested);
}

#[tokio::test]
async fn the_hard_stop_drops_requests_under_way() {
    let (server, gate) = server("hard_stop").await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    gate.reached().await;
    server.life.soft().cancel();
    server.life.hard().cancel();
    assert_eq!(until_closed(&mut busy).await, "");
}

#[tokio::test]
async fn a_stop_closes_connections_with_less_than_a_request() {
    let (server, _gate) = server("half_a_head").await;
    let whole = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut halves = Vec::new();
    for half in ["G", "GET /hello HTTP/1.1\r\nHost: te", "", "\r\n"] {
        for before in ["", whole] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(before.as_bytes()).await.unwrap();
            if !before.is_empty() {
                let mut answer = Vec::new();
                while !answer.ends_with(b"hello") {
                    answer.push(stream.read_u8().await.unwrap());
                }
            }
            stream.write_all(half.as_bytes()).await.unwrap();
            halves.push(stream);
        }
    }
    let life = server.life.clone();
    let (stopped_at, stopped) = (
        std::time::Instant::now(),
        tokio::spawn(async move { life.run_until_stopped(Signals::install().unwrap()).await }),
    );
    server.life.stop();
    assert_eq!(stopped.await.unwrap(), Ended::Requested);
    assert!(stopped_at.elapsed() < std::time::Duration::from_secs(1), "{:?}", stopped_at.elapsed());
    for mut half in halves {
        until_closed(&mut half).await;
    }
}
