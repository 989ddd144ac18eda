//! Content codings off the hot path (RFC 9110 section 8.4), by tower-http: request bodies are expanded, large JSON
//! answers compressed, and credentials marked so that nothing prints them. The display, which is answered before
//! routing, passes none of this.

use axum::Router;
use axum::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, ETAG, PROXY_AUTHORIZATION, SET_COOKIE};
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, predicate::NotForContentType};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use yima_schema::problem::{Problem, ProblemType};

use super::ProblemResponse;

/// Smaller answers fit into one packet anyway. Bytes.
const MIN_COMPRESSED: u64 = 1_400;

/// Adds the codings around a router's routes. A body is limited by what it expands to: see [`super::body::read_body`].
pub(super) fn with_codings(router: Router) -> Router {
    let compressible = SizeAbove::new(MIN_COMPRESSED).and(NotForContentType::SSE).and(is_fresh_json);
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(compressible);
    router
        .layer(RequestDecompressionLayer::new())
        .layer(map_response(name_unsupported_coding))
        .layer(compression)
        .layer(SetSensitiveHeadersLayer::new([AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE]))
}

/// JSON of some kind without an entity tag: a tag names one coding only, and documents with a tag have a gzip form of
/// their own.
fn is_fresh_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = essence.ends_with("json") || essence == "application/x-ndjson";
    is_json && !headers.contains_key(ETAG)
}

/// The decompression layer refuses an unknown coding with 415 and `Accept-Encoding`, but without a problem document.
async fn name_unsupported_coding(response: Response) -> Response {
    let accepted = response.headers().get(ACCEPT_ENCODING).cloned();
    let Some(accepted) = accepted.filter(|_| response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE) else {
        return response;
    };
    let detail = "Content-Encoding: expected gzip, zstd or identity, one coding only";
    let mut refusal = ProblemResponse::from(Problem::new(ProblemType::UnsupportedMediaType, detail)).into_response();
    refusal.headers_mut().insert(ACCEPT_ENCODING, accepted);
    refusal
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use axum::body::{Body, Bytes, to_bytes};
    use axum::http::header::CONTENT_ENCODING;
    use axum::http::{HeaderName, Request};
    use axum::routing::{get, post};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tower::ServiceExt;

    use super::super::body::read_body;
    use super::*;

    const LIMIT: usize = 10_000;

    async fn length(headers: HeaderMap, body: Body) -> Result<String, ProblemResponse> {
        assert!(headers.get(AUTHORIZATION).is_none_or(axum::http::HeaderValue::is_sensitive));
        Ok(read_body(body, LIMIT, Duration::from_secs(5)).await?.len().to_string())
    }

    async fn ask(request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let rows = || async { ([(CONTENT_TYPE, "application/x-ndjson")], "{}\n".repeat(LIMIT)) };
        let tagged = || async { ([(CONTENT_TYPE, "application/json"), (ETAG, "\"1\"")], "[]".repeat(LIMIT)) };
        let router = Router::new().route("/length", post(length)).route("/rows", get(rows)).route("/tag", get(tagged));
        let response = with_codings(router).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, 1 << 20).await.unwrap())
    }

    async fn send(coding: &str, body: impl Into<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let request = Request::post("/length").header(CONTENT_ENCODING, coding).header(AUTHORIZATION, "Bearer secret");
        ask(request.body(body.into()).unwrap()).await
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    /// One raw block (RFC 8878 section 3.1.1).
    fn zstd(body: &[u8]) -> Vec<u8> {
        let size = u8::try_from(body.len()).unwrap();
        let block = (u32::from(size) << 3 | 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, size], &block[..3], body].concat()
    }

    #[tokio::test]
    async fn bodies_are_expanded() {
        for (coding, body) in [("gzip", gzip(&[b'x'; 99])), ("zstd", zstd(&[b'x'; 99])), ("identity", vec![b'x'; 99])] {
            let (status, _, length) = send(coding, body).await;
            assert_eq!((status, &length[..]), (StatusCode::OK, &b"99"[..]), "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_is_limited_by_what_it_expands_to() {
        let bomb = gzip(&vec![b'x'; 50_000_000]);
        assert_eq!(send("gzip", bomb).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send("gzip", gzip(&[b'x'; LIMIT])).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn broken_and_unknown_codings_are_refused_with_a_problem() {
        let mut broken = gzip(&[b'x'; 99]);
        broken.truncate(20);
        assert_eq!(send("gzip", broken).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(send("zstd", "no zstd").await.0, StatusCode::BAD_REQUEST);
        for coding in ["br", "gzip, gzip"] {
            let (status, headers, problem) = send(coding, "x").await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{coding}");
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers[ACCEPT_ENCODING], "zstd,gzip");
            assert!(String::from_utf8_lossy(&problem).contains("Content-Encoding: expected gzip"), "{problem:?}");
        }
    }

    #[tokio::test]
    async fn large_json_without_a_tag_is_compressed_for_clients_that_accept_it() {
        let get = |path: &str, accepted: &'static str| {
            ask(Request::get(path).header(ACCEPT_ENCODING, accepted).body(Body::empty()).unwrap())
        };
        let coding = |headers: &HeaderMap, name: HeaderName| headers.get(name).cloned();
        let (_, headers, body) = get("/rows", "gzip").await;
        assert_eq!(coding(&headers, CONTENT_ENCODING).unwrap(), "gzip");
        assert!(body.len() < 1_000, "{}", body.len());
        for (path, accepted) in [("/rows", "identity"), ("/tag", "gzip")] {
            assert_eq!(coding(&get(path, accepted).await.1, CONTENT_ENCODING), None, "{path}");
        }
    }
}
