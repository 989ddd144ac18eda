//! The rival of the display benchmark: hyper alone, which answers every request with the same bytes:
//! `bare-hyper PORT BODY_BYTES HEADER_BYTES`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("PORT BODY_BYTES HEADER_BYTES, numbers"));
    let mut next = || args.next().expect("PORT BODY_BYTES HEADER_BYTES");
    let port = u16::try_from(next()).expect("PORT: below 65536");
    let body = Bytes::from("x".repeat(next()));
    let padding = HeaderValue::try_from("x".repeat(next())).expect("visible ASCII");
    let listener =
        tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.expect("PORT: free");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("a connected socket");
        let (body, padding) = (body.clone(), padding.clone());
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let mut response = Response::new(Full::new(body.clone()));
                response.headers_mut().insert("x-padding", padding.clone());
                async move { Ok::<_, Infallible>(response) }
            });
            // A client may close its connection at any time.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
