//! Content codings off the hot path (RFC 9110 section 8.4), by tower-http: request bodies are expanded, large JSON
//! answers compressed, and credentials marked so that nothing prints them. Displays and scans, which are answered
//! before routing, pass none of this.

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, ETAG,
    PROXY_AUTHORIZATION, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http_body_util::Limited;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use yima_schema::limits::MAX_BODY_BYTES;

use super::public::accepts_gzip;

/// Sizes of answers that are compressed, in bytes. Smaller ones fit into one packet anyway; larger ones, of uploads
/// with tens of thousands of rows, would hold up a worker of the runtime.
const COMPRESSED: std::ops::RangeInclusive<u64> = 1_400..=1_000_000;

/// Adds the codings around a router's routes. A body is limited by what it expands to: see [`super::body::read_body`].
pub(super) fn with_codings(router: Router) -> Router {
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(LargeJson);
    router
        // An unsupported coding is refused where the content type is, after authentication.
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(compression)
        .layer(from_fn(prepare))
        .layer(SetSensitiveHeadersLayer::new([AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE]))
}

/// JSON of some kind without an entity tag, which names one coding only (documents with a tag have a gzip form of their
/// own), and without `no-transform` (RFC 9111 section 5.2.2.6).
#[derive(Clone)]
struct LargeJson;

impl Predicate for LargeJson {
    fn should_compress<B: HttpBody>(&self, response: &axum::http::Response<B>) -> bool {
        let headers = response.headers();
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is_json = essence.ends_with("json");
        let size = response.body().size_hint().exact();
        let directives = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let may_transform = !directives.contains("no-transform") && !headers.contains_key(ETAG);
        is_json && size.is_some_and(|size| COMPRESSED.contains(&size)) && may_transform
    }
}

/// Prepares a request for the layers below, and its answer for the client.
///
/// - `Accept-Encoding` is removed unless it allows gzip: a client that allows nothing gets its answer plain. The
///   compression layer would turn it into 406, also where the request was carried out.
/// - Names of codings are compared without their case (RFC 9110 section 8.4.1); `x-gzip` is gzip (section 8.4.1.3).
/// - A coded body is limited as it is sent, too: it can be long and expand to nothing.
/// - After a refusal of a coded body the connection is closed, since the rest of the body is not read.
async fn prepare(mut request: Request, next: Next) -> Response {
    if request.headers().contains_key(ACCEPT_ENCODING) && !accepts_gzip(request.headers()) {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    let Some(coding) = coding(request.headers()) else { return next.run(request).await };
    request.headers_mut().insert(CONTENT_ENCODING, coding);
    let request = request.map(|body| Body::new(Limited::new(body, MAX_BODY_BYTES)));
    let mut response = next.run(request).await;
    match response.status() {
        StatusCode::BAD_REQUEST => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // RFC 9110 section 12.5.3: the codings to send instead.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        _ => {}
    }
    response
}

/// The coding of a request's body in the spelling of the decompression layer; `None` for a plain one.
fn coding(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(CONTENT_ENCODING).iter();
    let coding = fields.next()?.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
    match coding.trim() {
        // Two fields are a list of two codings.
        _ if fields.next().is_some() => Some(HeaderValue::from_static("unknown")),
        "gzip" | "x-gzip" => Some(HeaderValue::from_static("gzip")),
        "zstd" => Some(HeaderValue::from_static("zstd")),
        "identity" => None,
        // Visible characters, or else a name that no layer knows.
        other => Some(HeaderValue::try_from(other).unwrap_or(HeaderValue::from_static("unknown"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use axum::body::{Bytes, to_bytes};
    use axum::http::HeaderName;
    use axum::routing::{get, post};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures::StreamExt;
    use tower::ServiceExt;

    use super::super::ProblemResponse;
    use super::super::body::{content_type, read_body};
    use super::*;

    const LIMIT: usize = 10_000;

    async fn length(headers: HeaderMap, body: Body) -> Result<String, ProblemResponse> {
        assert!(headers.get(AUTHORIZATION).is_none_or(HeaderValue::is_sensitive));
        content_type(&headers, &["text/plain"])?;
        Ok(read_body(body, LIMIT, Duration::from_secs(5)).await?.len().to_string())
    }

    async fn ask(request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let rows = |n: usize| async move { ([(CONTENT_TYPE, "application/x-ndjson")], "{}\n".repeat(n)) };
        let tagged = || async { ([(CONTENT_TYPE, "application/json"), (ETAG, "\"1\"")], "[]".repeat(LIMIT)) };
        let router = Router::new()
            .route("/length", post(length))
            .route("/rows", get(move || rows(LIMIT)).post(move || rows(LIMIT)))
            .route("/many", get(move || rows(LIMIT * 100)))
            .route("/tag", get(tagged));
        let response = with_codings(router).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, 1 << 24).await.unwrap())
    }

    async fn send(coding: &str, body: impl Into<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let request = Request::post("/length").header(CONTENT_ENCODING, coding).header(CONTENT_TYPE, "text/plain");
        ask(request.header(AUTHORIZATION, "Bearer secret").body(body.into()).unwrap()).await
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
        let (gzip, zstd) = (gzip(&[b'x'; 99]), zstd(&[b'x'; 99]));
        for (coding, body) in [("gzip", &gzip), ("X-GZip", &gzip), ("zstd", &zstd), ("Identity", &vec![b'x'; 99])] {
            let body = body.clone();
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
    async fn a_body_that_expands_to_nothing_is_limited_as_it_is_sent() {
        // Skippable frames of zstd (RFC 8878 section 3.1.2), sent in chunks of unknown length.
        let frame = [&[0x50, 0x2a, 0x4d, 0x18, 0xf0, 0xff, 0x00, 0x00][..], &[0; 0xfff0]].concat();
        let frames = futures::stream::iter(std::iter::repeat_n(Bytes::from(frame), 200)).map(Ok::<_, std::io::Error>);
        assert_eq!(send("zstd", Body::from_stream(frames)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_client_that_accepts_no_coding_gets_its_answer_plain() {
        for accepted in ["identity;q=0", "*;q=0", "br, identity;q=0"] {
            let request = Request::post("/rows").header(ACCEPT_ENCODING, accepted).body(Body::empty()).unwrap();
            let (status, headers, _) = ask(request).await;
            assert_eq!((status, headers.get(CONTENT_ENCODING)), (StatusCode::OK, None), "{accepted}");
        }
    }

    #[tokio::test]
    async fn broken_and_unknown_codings_are_refused_with_a_problem() {
        let mut broken = gzip(&[b'x'; 99]);
        broken.truncate(20);
        for (status, headers, _) in [send("gzip", broken).await, send("zstd", "no zstd").await] {
            assert_eq!((status, &headers[CONNECTION]), (StatusCode::BAD_REQUEST, &HeaderValue::from_static("close")));
        }
        for codings in [&["br"][..], &["gzip, gzip"], &["gzip", "br"], &["identity", "gzip"], &[""], &["gzip;q=1"]] {
            let mut request = Request::post("/length").header(CONTENT_TYPE, "text/plain");
            for coding in codings {
                request = request.header(CONTENT_ENCODING, *coding);
            }
            let (status, headers, problem) = ask(request.body(gzip(&[b'x'; 99]).into()).unwrap()).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{codings:?}");
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers[ACCEPT_ENCODING], "gzip, zstd");
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
        for (path, accepted) in [("/rows", "identity"), ("/many", "gzip"), ("/tag", "gzip")] {
            assert_eq!(coding(&get(path, accepted).await.1, CONTENT_ENCODING), None, "{path}");
        }
    }
}
