//! The pages with their scripts and styles. They are part of the binary, so a node serves them even if the database or
//! another service is down.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::routing::get;
use yima_service::http::public::{Lifetime, Public};

/// A cached file is at most a minute old, ten minutes while a cache revalidates it, and a day while yima is
/// unreachable.
const LIFETIME: Lifetime = Lifetime {
    everywhere: "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400",
    at_the_edge: "max-age=30, stale-while-revalidate=60, stale-if-error=86400",
};

/// Allows only files of this origin, no inline script or style, and no frame around the page; workers as given.
macro_rules! content_security_policy {
    ($workers:literal) => {
        HeaderValue::from_static(concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; ",
            "manifest-src 'self'; worker-src ",
            $workers,
            "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ))
    };
}

const PAGE_POLICY: HeaderValue = content_security_policy!("'none'");
const CAMERA_PAGE_POLICY: HeaderValue = content_security_policy!("'self'");
/// The worker only computes: it loads nothing.
const WORKER_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'");

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const NO_DEVICES: HeaderValue = HeaderValue::from_static("camera=(), microphone=(), geolocation=()");
const CAMERA_ONLY: HeaderValue = HeaderValue::from_static("camera=(self), microphone=(), geolocation=()");

/// The kind of a file determines its headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    /// A page that may use the camera.
    CameraPage,
    Script,
    Worker,
    Style,
    Image,
}

struct Asset {
    path: &'static str,
    kind: Kind,
    body: &'static [u8],
    /// `body`, compressed with gzip (RFC 1952).
    zipped: &'static [u8],
}

macro_rules! bundled {
    ($path:literal, $kind:ident, $file:literal) => {
        Asset {
            path: $path,
            kind: Kind::$kind,
            body: include_bytes!(concat!(env!("OUT_DIR"), "/pages/", $file)),
            zipped: include_bytes!(concat!(env!("OUT_DIR"), "/pages/", $file, ".gz")),
        }
    };
}

static READING: [Asset; 8] = [
    bundled!("/", Page, "citizen.html"),
    bundled!("/checkpoint", CameraPage, "checkpoint.html"),
    bundled!("/assets/citizen.js", Script, "citizen.js"),
    bundled!("/assets/citizen.css", Style, "citizen.css"),
    bundled!("/assets/checkpoint.js", Script, "checkpoint.js"),
    bundled!("/assets/checkpoint.css", Style, "checkpoint.css"),
    bundled!("/assets/reader-worker.js", Worker, "reader-worker.js"),
    bundled!("/favicon.svg", Image, "favicon.svg"),
];

static AGENCY: [Asset; 5] = [
    bundled!("/", Page, "agency.html"),
    bundled!("/assets/agency.js", Script, "agency.js"),
    bundled!("/assets/xlsx.js", Script, "xlsx.js"),
    bundled!("/assets/agency.css", Style, "agency.css"),
    bundled!("/favicon.svg", Image, "favicon.svg"),
];

/// The citizen's page at `/` and the checkpoint's at `/checkpoint`, for `GET` and `HEAD`. They need no state and no
/// session. See [`Public::respond`].
pub fn reading() -> Router {
    router(&READING)
}

/// The agency's page at `/`, under the same conditions.
pub fn agency() -> Router {
    router(&AGENCY)
}

fn router(assets: &[Asset]) -> Router {
    assets.iter().fold(Router::new(), |router, asset| {
        let document = document(asset);
        router.route(asset.path, get(async move |request: HeaderMap| document.respond(&request)))
    })
}

fn document(asset: &Asset) -> Public {
    let document = Public::new(Bytes::from_static(asset.body), content_type(asset.kind), LIFETIME)
        .with_gzip(Bytes::from_static(asset.zipped))
        .with(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match asset.kind {
        Kind::Page => document.with(header::CONTENT_SECURITY_POLICY, PAGE_POLICY).with(PERMISSIONS_POLICY, NO_DEVICES),
        Kind::CameraPage => {
            document.with(header::CONTENT_SECURITY_POLICY, CAMERA_PAGE_POLICY).with(PERMISSIONS_POLICY, CAMERA_ONLY)
        }
        Kind::Worker => document.with(header::CONTENT_SECURITY_POLICY, WORKER_POLICY),
        Kind::Script | Kind::Style | Kind::Image => document,
    }
}

fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Page | Kind::CameraPage => "text/html; charset=utf-8",
        Kind::Script | Kind::Worker => "text/javascript; charset=utf-8",
        Kind::Style => "text/css; charset=utf-8",
        Kind::Image => "image/svg+xml",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::response::Response;
    use tower::ServiceExt;

    use super::*;

    async fn fetch_of(assets: &[Asset], path: &str) -> Response {
        router(assets).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn fetch(path: &str) -> Response {
        fetch_of(&READING, path).await
    }

    #[tokio::test]
    async fn every_asset_is_served_with_its_content_type_and_nosniff() {
        for (assets, asset) in [&READING[..], &AGENCY].into_iter().flat_map(|all| all.iter().map(move |one| (all, one)))
        {
            let response = fetch_of(assets, asset.path).await;
            assert_eq!(response.status(), StatusCode::OK, "{}", asset.path);
            assert_eq!(response.headers()[header::CONTENT_TYPE], content_type(asset.kind));
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(response.headers()[header::CACHE_CONTROL], LIFETIME.everywhere);
            assert_eq!(response.headers()["cdn-cache-control"], LIFETIME.at_the_edge);
            assert!(response.headers().contains_key(header::ETAG));
        }
    }

    #[tokio::test]
    async fn every_asset_is_sent_with_gzip_to_clients_that_accept_it() {
        for (assets, asset) in [&READING[..], &AGENCY].into_iter().flat_map(|all| all.iter().map(move |one| (all, one)))
        {
            let fetch = async |codings: &str, tag: &HeaderValue| {
                let request = Request::get(asset.path).header(header::ACCEPT_ENCODING, codings);
                let request = request.header(header::IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
                router(assets).oneshot(request).await.unwrap()
            };
            let (none, plain) = (HeaderValue::from_static("\"\""), fetch_of(assets, asset.path).await);
            assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
            let zipped = fetch("br, gzip", &none).await;
            assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
            for response in [&plain, &zipped] {
                assert_eq!(response.headers()[header::VARY], "accept-encoding");
            }
            // The two codings have different ETags.
            let [of_plain, of_zipped] = [&plain, &zipped].map(|response| response.headers()[header::ETAG].clone());
            assert_eq!(fetch("gzip", &of_plain).await.status(), StatusCode::OK);
            assert_eq!(fetch("gzip", &of_zipped).await.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(fetch("identity", &of_plain).await.status(), StatusCode::NOT_MODIFIED);
            // The last four bytes are the uncompressed length (RFC 1952 section 2.3.1).
            let (bytes, whole) = (asset.zipped, asset.body.len());
            assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < whole, "{}", asset.path);
            assert_eq!(bytes.last_chunk().map(|size| u32::from_le_bytes(*size) as usize), Some(whole));
        }
    }

    #[tokio::test]
    async fn pages_forbid_inline_code_and_only_the_checkpoint_page_may_use_the_camera() {
        let (citizen, checkpoint) = (fetch("/").await, fetch("/checkpoint").await);
        let policy = |page: &Response| page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        for page in [&citizen, &checkpoint] {
            assert!(policy(page).starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
            assert!(!policy(page).contains("unsafe"));
        }
        assert!(policy(&citizen).contains("worker-src 'none'") && policy(&checkpoint).contains("worker-src 'self'"));
        assert!(citizen.headers()[PERMISSIONS_POLICY].to_str().unwrap().starts_with("camera=(),"));
        assert!(checkpoint.headers()[PERMISSIONS_POLICY].to_str().unwrap().starts_with("camera=(self),"));
        let worker = fetch("/assets/reader-worker.js").await;
        assert_eq!(policy(&worker), "default-src 'none'", "the worker can send a code nowhere");
    }

    #[test]
    fn styles_avoid_selectors_that_old_phones_lack() {
        for style in READING.iter().chain(&AGENCY).filter(|asset| asset.kind == Kind::Style) {
            // Chromium before 105 and Firefox before 121 drop a rule with `:has`, which leaves white text on white.
            assert!(!std::str::from_utf8(style.body).unwrap().contains(":has("), "{}", style.path);
        }
    }

    #[test]
    fn names_and_numbers_are_isolated_from_the_text_around_them() {
        let body = |path: &str| {
            let asset = READING.iter().find(|asset| asset.path == path).expect("an asset");
            std::str::from_utf8(asset.body).expect("text")
        };
        for id in ["name", "document"] {
            assert!(body("/").contains(&format!("<bdi id=\"{id}\">")), "{id}");
        }
        assert!(body("/assets/checkpoint.js").matches("\"bdi\"").count() >= 2);
    }

    #[test]
    fn pages_load_only_served_assets_and_have_no_inline_code() {
        let assets = [&READING[..], &AGENCY].into_iter().flat_map(|all| all.iter().map(move |one| (all, one)));
        for (assets, page) in assets.filter(|(_, one)| matches!(one.kind, Kind::Page | Kind::CameraPage)) {
            let html = std::str::from_utf8(page.body).unwrap();
            assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("<script>"));
            // Only these two attributes name files to load; `name` attributes of form fields look like paths too.
            let loaded = ["src=\"", "href=\""].into_iter().flat_map(|name| html.split(name).skip(1));
            for part in loaded.filter_map(|rest| rest.split('"').next()) {
                assert!(assets.iter().any(|asset| asset.path == part), "{} names {part}", page.path);
            }
        }
    }
}
