//! Clients that hold connections: silent ones, those that do not read, and those behind a proxy.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures::StreamExt;
use ppp::v2::{Builder, Command, Protocol, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use yima_service::http::HttpLimits;

use crate::support::{SOON, answer, get as get_from, start, until_closed};

fn hello() -> Router {
    Router::new().route("/hello", get(async || "hello"))
}

fn of(connections: usize) -> HttpLimits {
    HttpLimits { max_connections: NonZeroUsize::new(connections).unwrap(), ..HttpLimits::default() }
}

#[tokio::test]
async fn a_silent_connection_gives_its_place_to_a_new_one() {
    let server = start("silent", hello(), &of(8)).await;
    let mut silent = Vec::new();
    for n in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if n == 0 {
            // Bytes of a head are no request, however often they come.
            stream.write_all(b"GET /hello HTTP/1.1\r\nHost: te").await.unwrap();
        }
        silent.push(stream);
    }
    let mut later = Vec::new();
    for oldest in &mut silent {
        later.push(TcpStream::connect(server.address).await.unwrap());
        assert_eq!(until_closed(oldest).await, "");
    }
    assert_eq!(get_from(server.address, "/hello").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_waits_after_an_answer_gives_its_place_too() {
    let server = start("waiting", hello(), &of(1)).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut answered = Vec::new();
    while !answered.ends_with(b"hello") {
        answered.push(first.read_u8().await.unwrap());
    }
    assert_eq!(get_from(server.address, "/hello").await.status, 200);
    assert_eq!(until_closed(&mut first).await, "");
}

/// A body that tells when it is dropped.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// `/large` answers with `frames` of 1 kB; notifies when its answer has ended.
fn large(frames: usize) -> (Router, Arc<Notify>) {
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    let body = async move || {
        let told = Told(told);
        let frames = futures::stream::iter(0..frames).map(move |_| {
            let _until_the_end = &told;
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1_024]))
        });
        Body::from_stream(frames)
    };
    (Router::new().route("/large", get(body)), ended)
}

async fn ask_for_large(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_cut() {
    const FRAMES: usize = 100_000;
    let (app, ended) = large(FRAMES);
    let stall = Duration::from_millis(200);
    let server = start("unread", app, &HttpLimits { send_stall: stall, ..HttpLimits::default() }).await;
    let (mut stream, begun) = (ask_for_large(server.address).await, Instant::now());
    tokio::time::timeout(SOON, ended.notified()).await.expect("the answer is still being sent");
    assert!(begun.elapsed() >= stall);
    assert!(until_closed(&mut stream).await.len() < FRAMES * 1_024);
}

#[tokio::test]
async fn an_answer_that_is_read_too_slowly_is_cut_and_one_at_the_least_rate_is_not() {
    let stall = Duration::from_millis(500);
    for (rate, is_cut) in [(u32::MAX, true), (1, false)] {
        let (app, _ended) = large(2_000);
        let min_send_bytes_per_s = NonZeroU32::new(rate).unwrap();
        let limits = HttpLimits { send_stall: stall, min_send_bytes_per_s, ..HttpLimits::default() };
        let server = start("slow_reader", app, &limits).await;
        let mut stream = ask_for_large(server.address).await;
        // About 2 s for the whole, each step well within `stall`.
        let (mut read, mut part) = (0, vec![0; 20_480]);
        let outcome = loop {
            match stream.read_exact(&mut part).await {
                Ok(bytes) => read += bytes,
                Err(error) => break error,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let is_end = outcome.kind() == std::io::ErrorKind::UnexpectedEof;
        assert_eq!((is_end, read > 2_000 * 1_000), (!is_cut, !is_cut), "{rate} bytes/s: {outcome}, {read} bytes");
    }
}

fn named(client: &str) -> Vec<u8> {
    let address: SocketAddr = client.parse().unwrap();
    let header = Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, (address, address));
    header.build().unwrap()
}

async fn through_proxy(server: SocketAddr, before: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(before).await.unwrap();
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn a_trusted_proxy_names_its_clients_and_nobody_else_does() {
    let trusted = |network: &str| HttpLimits {
        trusted_proxies: vec![network.parse().unwrap()],
        proxy_protocol: true,
        ..HttpLimits::default()
    };
    let server = start("proxied", hello(), &trusted("127.0.0.0/8")).await;
    let mut client = through_proxy(server.address, &named("203.0.113.9:4000")).await;
    assert_eq!(answer(&mut client).await.status, 200);
    for otherwise in [&b""[..], b"PROXY TCP4 203.0.113.9 203.0.113.9 1 2\r\n"] {
        assert_eq!(
            until_closed(&mut through_proxy(server.address, otherwise).await).await,
            "",
            "the header is expected"
        );
    }
    let server = start("not_proxied", hello(), &trusted("10.0.0.0/8")).await;
    let mut client = through_proxy(server.address, &named("203.0.113.9:4000")).await;
    assert!(!until_closed(&mut client).await.contains(" 200 "), "an address that is not trusted named a client");
    assert_eq!(get_from(server.address, "/hello").await.status, 200);
}

#[tokio::test]
async fn shares_are_of_the_clients_that_the_proxy_names() {
    let limits = HttpLimits {
        max_connections_per_peer: NonZeroUsize::new(2),
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        proxy_protocol: true,
        ..of(8)
    };
    let server = start("shares", hello(), &limits).await;
    let mut greedy = Vec::new();
    for n in 0..7 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&named(&format!("203.0.113.9:{n}"))).await.unwrap();
        greedy.push(stream);
    }
    // Places are short now, and the greedy client has more than its share: it only displaces itself.
    let mut other = through_proxy(server.address, &named("203.0.113.10:1")).await;
    assert_eq!(answer(&mut other).await.status, 200);
    let mut more = through_proxy(server.address, &named("203.0.113.9:4000")).await;
    assert_eq!(answer(&mut more).await.status, 200);
    assert_eq!(until_closed(&mut greedy[0]).await, "");
}
