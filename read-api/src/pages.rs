//! The citizen's page at `/` and the checkpoint's at `/checkpoint`, with their scripts and styles, all inside the binary:
//! they are served as long as the process runs, whatever else is down.

use aws_lc_rs::digest;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// The pages say which files of theirs are current: a minute old at most, ten while a new copy is on its way.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=60, stale-while-revalidate=600");

/// Nothing but our own files, no inline script or style, no frame around a page.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What a file is, which decides its headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    /// A page that may use the camera.
    CameraPage,
    Script,
    Style,
    Image,
}

struct Asset {
    path: &'static str,
    kind: Kind,
    body: &'static [u8],
}

macro_rules! bundled {
    ($path:literal, $kind:ident, $file:literal) => {
        Asset { path: $path, kind: Kind::$kind, body: include_bytes!(concat!(env!("OUT_DIR"), "/web/", $file)) }
    };
}

static ASSETS: [Asset; 7] = [
    bundled!("/", Page, "citizen.html"),
    bundled!("/checkpoint", CameraPage, "checkpoint.html"),
    bundled!("/assets/citizen.js", Script, "citizen.js"),
    bundled!("/assets/citizen.css", Style, "citizen.css"),
    bundled!("/assets/checkpoint.js", Script, "checkpoint.js"),
    bundled!("/assets/checkpoint.css", Style, "checkpoint.css"),
    bundled!("/favicon.svg", Image, "favicon.svg"),
];

/// The routes of the pages and of what they load. They need no state and no session; `GET` and `HEAD` only. Answers are
/// 200, or 304 to an `If-None-Match` (RFC 9110, section 13.1.2) that names the current strong ETag.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let headers = headers(asset);
        router.route(asset.path, get(async move |request: HeaderMap| respond(asset, headers.clone(), &request)))
    })
}

/// All headers of an asset's 200, made once.
fn headers(asset: &Asset) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, etag(asset.body));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.kind)));
    match asset.kind {
        Kind::Page => {
            headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        }
        Kind::CameraPage => {
            headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
            headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static("camera=(self)"));
        }
        Kind::Script | Kind::Style | Kind::Image => {}
    }
    headers
}

fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Page | Kind::CameraPage => "text/html; charset=utf-8",
        Kind::Script => "text/javascript; charset=utf-8",
        Kind::Style => "text/css; charset=utf-8",
        Kind::Image => "image/svg+xml",
    }
}

/// A strong ETag: the first 128 bits of the body's SHA-256, in hex.
fn etag(body: &[u8]) -> HeaderValue {
    let hash = digest::digest(&digest::SHA256, body);
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Hex digits and quotes are visible ASCII, which is all that a header value asks for.
    HeaderValue::try_from(format!("\"{hex}\"")).expect("hex is a header value")
}

fn respond(asset: &'static Asset, mut headers: HeaderMap, request: &HeaderMap) -> Response {
    if held(request, &headers[header::ETAG]) {
        headers.remove(header::CONTENT_TYPE);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Bytes::from_static(asset.body)).into_response()
}

/// Whether an `If-None-Match` of the request names `etag`. The comparison is weak, as RFC 9110 asks: a proxy that
/// compressed the answer has put `W/` before the tag.
fn held(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    async fn fetch(path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = if_none_match {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        router::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_asset_is_served_with_its_type_and_not_sniffed() {
        for asset in &ASSETS {
            let response = fetch(asset.path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{}", asset.path);
            assert_eq!(response.headers()[header::CONTENT_TYPE], content_type(asset.kind));
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(response.headers()[header::CACHE_CONTROL], CACHE_CONTROL);
        }
    }

    #[tokio::test]
    async fn a_held_copy_is_not_sent_again() {
        let etag = fetch("/", None).await.headers()[header::ETAG].to_str().unwrap().to_owned();
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let response = fetch("/", Some(&tag)).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tag}");
            assert_eq!(response.headers()[header::ETAG], etag.as_str());
        }
        assert_eq!(fetch("/", Some("\"other\"")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn pages_allow_nothing_inline_and_only_the_checkpoint_the_camera() {
        let (citizen, checkpoint) = (fetch("/", None).await, fetch("/checkpoint", None).await);
        for page in [&citizen, &checkpoint] {
            assert_eq!(page.headers()[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
        }
        assert!(!citizen.headers().contains_key(PERMISSIONS_POLICY));
        assert_eq!(checkpoint.headers()[PERMISSIONS_POLICY], "camera=(self)");
    }

    #[test]
    fn pages_load_only_what_is_served_and_have_no_inline_code() {
        for page in ASSETS.iter().filter(|asset| matches!(asset.kind, Kind::Page | Kind::CameraPage)) {
            let html = std::str::from_utf8(page.body).unwrap();
            assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("<script>"));
            for part in html.split(['"']).filter(|part| part.starts_with('/')) {
                assert!(ASSETS.iter().any(|asset| asset.path == part), "{} names {part}", page.path);
            }
        }
    }
}
