//! The pages with their scripts and styles. They are part of the binary, so a node serves them even if the database or
//! another service is down.

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Redirect;
use axum::routing::get;
use yima_service::http::public::{Lifetime, Public};

/// A cached file is at most a minute old, ten minutes while a cache revalidates it, and a day while yima is
/// unreachable.
const LIFETIME: Lifetime = Lifetime {
    everywhere: "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400",
    at_the_edge: "max-age=30, stale-while-revalidate=60, stale-if-error=86400",
};

/// Of a file whose address names its content (`?v=`, a digest): it is right for ever.
const NAMED_LIFETIME: Lifetime =
    Lifetime { everywhere: "public, max-age=31536000, immutable", at_the_edge: "max-age=31536000" };

/// A service worker is asked for anew each time, so that no cache delays a new version of a page.
const SERVICE_WORKER_LIFETIME: Lifetime = Lifetime { everywhere: "no-cache", at_the_edge: "max-age=30" };

/// Allows only files of this origin, no inline script or style, and no frame around the page.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The worker only computes: it loads nothing.
const WORKER_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'");
/// The service worker fetches the files of its page.
const SERVICE_WORKER_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; connect-src 'self'");

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
    /// A script at the root, so that its page may be anywhere below.
    ServiceWorker,
    Manifest,
    Style,
    Image,
    /// An icon of an installed page.
    Icon,
}

struct Asset {
    path: &'static str,
    kind: Kind,
    body: &'static [u8],
    /// `body`, compressed with gzip (RFC 1952); a PNG is compressed already.
    zipped: Option<&'static [u8]>,
}

macro_rules! bundled {
    ($path:literal, Icon, $file:literal) => {
        Asset { path: $path, kind: Kind::Icon, body: bundled!($file), zipped: None }
    };
    ($path:literal, $kind:ident, $file:literal) => {
        Asset { path: $path, kind: Kind::$kind, body: bundled!($file), zipped: Some(bundled!(concat!($file, ".gz"))) }
    };
    ($file:expr) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/pages/", $file))
    };
}

static READING: [Asset; 13] = [
    bundled!("/", Page, "citizen.html"),
    bundled!("/checkpoint", CameraPage, "checkpoint.html"),
    bundled!("/assets/citizen.js", Script, "citizen.js"),
    bundled!("/assets/citizen.css", Style, "citizen.css"),
    bundled!("/citizen-worker.js", ServiceWorker, "citizen-worker.js"),
    bundled!("/citizen.webmanifest", Manifest, "citizen.webmanifest"),
    bundled!("/assets/checkpoint.js", Script, "checkpoint.js"),
    bundled!("/assets/checkpoint.css", Style, "checkpoint.css"),
    bundled!("/assets/reader-worker.js", Worker, "reader-worker.js"),
    bundled!("/assets/foreign.js", Script, "foreign.js"),
    bundled!("/checkpoint-worker.js", ServiceWorker, "checkpoint-worker.js"),
    bundled!("/checkpoint.webmanifest", Manifest, "checkpoint.webmanifest"),
    bundled!("/favicon.svg", Image, "favicon.svg"),
];

static AGENCY: [Asset; 7] = [
    bundled!("/", Page, "agency.html"),
    bundled!("/assets/agency.js", Script, "agency.js"),
    bundled!("/assets/xlsx.js", Script, "xlsx.js"),
    bundled!("/assets/agency.css", Style, "agency.css"),
    bundled!("/agency-worker.js", ServiceWorker, "agency-worker.js"),
    bundled!("/agency.webmanifest", Manifest, "agency.webmanifest"),
    bundled!("/favicon.svg", Image, "favicon.svg"),
];

/// On both ports: what a service worker shows without a connection, and the icons of installed pages.
static COMMON: [Asset; 5] = [
    bundled!("/offline.html", Page, "offline.html"),
    bundled!("/assets/base.css", Style, "base.css"),
    bundled!("/assets/icon-192.png", Icon, "icon-192.png"),
    bundled!("/assets/icon-512.png", Icon, "icon-512.png"),
    bundled!("/assets/icon-maskable.png", Icon, "icon-maskable.png"),
];

/// The citizen's page at `/` and the checkpoint's at `/checkpoint`, for `GET` and `HEAD`. They need no state and no
/// session. See [`Public::respond`].
pub fn reading() -> Router {
    router(&READING).route("/checkpoint/", get(async || Redirect::permanent("/checkpoint")))
}

/// The agency's page at `/`, under the same conditions.
pub fn agency() -> Router {
    router(&AGENCY)
}

fn router(assets: &[Asset]) -> Router {
    assets.iter().chain(&COMMON).fold(Router::new(), |router, asset| {
        let documents = [document(asset, lifetime(asset.kind)), document(asset, NAMED_LIFETIME)];
        router.route(
            asset.path,
            get(async move |RawQuery(query): RawQuery, request: HeaderMap| {
                let [any, named] = &documents;
                if names_content(query.as_deref(), any) { named } else { any }.respond(&request)
            }),
        )
    })
}

/// Whether `?v=` has the digest of what this node would send. A page of another version names other content: then caches
/// keep it no longer than any file.
fn names_content(query: Option<&str>, document: &Public) -> bool {
    let version = query.and_then(|query| query.strip_prefix("v="));
    version.is_some_and(|version| document.etag().as_bytes() == format!("\"{version}\"").as_bytes())
}

fn document(asset: &Asset, lifetime: Lifetime) -> Public {
    let document = Public::new(Bytes::from_static(asset.body), content_type(asset.kind), lifetime, "pages")
        .with(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let document = match asset.zipped {
        Some(zipped) => document.with_gzip(Bytes::from_static(zipped)),
        None => document,
    };
    match asset.kind {
        Kind::Page => document.with(header::CONTENT_SECURITY_POLICY, PAGE_POLICY).with(PERMISSIONS_POLICY, NO_DEVICES),
        Kind::CameraPage => {
            document.with(header::CONTENT_SECURITY_POLICY, PAGE_POLICY).with(PERMISSIONS_POLICY, CAMERA_ONLY)
        }
        Kind::Worker => document.with(header::CONTENT_SECURITY_POLICY, WORKER_POLICY),
        Kind::ServiceWorker => document.with(header::CONTENT_SECURITY_POLICY, SERVICE_WORKER_POLICY),
        Kind::Script | Kind::Manifest | Kind::Style | Kind::Image | Kind::Icon => document,
    }
}

fn content_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Page | Kind::CameraPage => "text/html; charset=utf-8",
        Kind::Script | Kind::Worker | Kind::ServiceWorker => "text/javascript; charset=utf-8",
        Kind::Manifest => "application/manifest+json",
        Kind::Style => "text/css; charset=utf-8",
        Kind::Image => "image/svg+xml",
        Kind::Icon => "image/png",
    }
}

fn lifetime(kind: Kind) -> Lifetime {
    match kind {
        Kind::ServiceWorker => SERVICE_WORKER_LIFETIME,
        Kind::Page
        | Kind::CameraPage
        | Kind::Script
        | Kind::Worker
        | Kind::Manifest
        | Kind::Style
        | Kind::Image
        | Kind::Icon => LIFETIME,
    }
}

#[cfg(test)]
mod tests;
