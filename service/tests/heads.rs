//! Heads that two readers of one connection could understand differently.

use axum::Router;
use axum::routing::{get, post};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use yima_service::http::HttpLimits;

use crate::support::{Answer, answer, start};

async fn ask(address: std::net::SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    answer(&mut stream).await
}

#[tokio::test]
async fn an_ambiguous_head_is_refused_and_its_connection_closed() {
    let app = Router::new().route("/hello", get(async || "hello")).route("/take", post(async |body: String| body));
    let server = start("heads", app, &HttpLimits::default()).await;
    let chunks = "\n\n2\nhi\n0\n\n";
    for (request, field) in [
        ("GET /hello HTTP/1.1\n\n", "Host"),
        ("GET http://a/hello HTTP/1.1\n\n", "Host"),
        ("GET /nothing HTTP/1.1\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a\nHost: a\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a\nHost: b\n\n", "Host"),
        ("GET /hello HTTP/1.0\nHost: a\nHost: b\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost:\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a b\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a, b\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: http://a/\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: user@a\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a:99999\n\n", "Host"),
        ("GET /hello HTTP/1.1\nHost: a\nAuthorization: Bearer x\nAuthorization: Bearer y\n\n", "Authorization"),
        ("GET /hello HTTP/1.1\nHost: a\nTE: gzip, chunked\n\n", "TE"),
        (&format!("POST /take HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked{chunks}"), "Transfer-Encoding"),
        (&format!("POST /take HTTP/1.1\nHost: a\nTransfer-Encoding: identity, chunked{chunks}"), "Transfer-Encoding"),
        (
            &format!("POST /take HTTP/1.1\nHost: a\nTransfer-Encoding: gzip\nTransfer-Encoding: chunked{chunks}"),
            "Transfer-Encoding",
        ),
        (&format!("POST /take HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked{chunks}"), "Transfer-Encoding"),
    ] {
        let refused = ask(server.address, request).await;
        assert_eq!((refused.status, refused.problem().as_str()), (400, "invalid"), "{request}");
        assert!(refused.body.contains(&format!("{field}: expected")), "{request}: {}", refused.body);
        assert_eq!(refused.headers["connection"], "close", "{request}");
    }
    for request in [
        "GET /hello HTTP/1.0\n\n",
        "GET /hello HTTP/1.1\nHost: [::1]:8080\nConnection: close\nTE: trailers\nAuthorization: x\n\n",
        &format!("POST /take HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: Chunked{chunks}"),
    ] {
        assert_eq!(ask(server.address, request).await.status, 200, "{request}");
    }
}
