//! `/docs/`: Swagger UI for `/openapi.json`, from the binary, with the validators and codings of a [`Public`] document.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Redirect;
use axum::routing::get;
use flate2::read::GzDecoder;
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::public::{Lifetime, Public};

/// The files that the page loads, with their media types.
const FILES: [(&str, &str); 8] = [
    ("index.html", HTML),
    ("index.css", CSS),
    ("swagger-ui.css", CSS),
    ("swagger-ui-bundle.js", JAVASCRIPT),
    ("swagger-ui-standalone-preset.js", JAVASCRIPT),
    ("swagger-initializer.js", JAVASCRIPT),
    ("favicon-16x16.png", PNG),
    ("favicon-32x32.png", PNG),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const PNG: &str = "image/png";

/// Swagger UI puts styles on its elements; it loads nothing from elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The header fields of every answer.
const GUARDS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// What caches forget the description of the API by.
pub(super) const API_DOCS: &str = "api-docs";

/// The page's routes. `lifetime`: how long copies of its files may be used.
pub(super) fn page(lifetime: Lifetime) -> Router {
    let config = Arc::new(Config::from("/openapi.json").validator_url("none"));
    let redirect = Router::new().route("/docs", get(async || (GUARDS, Redirect::to("/docs/"))));
    FILES.iter().fold(redirect, |router, (name, content_type)| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config)).expect("the configuration is made of texts");
        let document = document(file.expect("Swagger UI's release has its files"), content_type, lifetime);
        let path = if *name == "index.html" { "/docs/".to_owned() } else { format!("/docs/{name}") };
        router.route(&path, get(async move |request: HeaderMap| document.respond(&request)))
    })
}

fn document(file: SwaggerFile<'_>, content_type: &'static str, lifetime: Lifetime) -> Public {
    let bytes = Bytes::from(file.bytes.into_owned());
    let document = if file.gzpipped {
        Public::new(expand(&bytes), content_type, lifetime, API_DOCS).with_gzip(bytes)
    } else {
        Public::new(bytes, content_type, lifetime, API_DOCS)
    };
    GUARDS.into_iter().fold(document, |document, (name, value)| document.with(name, value))
}

/// For clients that do not accept gzip.
fn expand(gzip: &[u8]) -> Bytes {
    let mut body = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut body).expect("Swagger UI's files were compressed when this was built");
    body.into()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;

    const LIFETIME: Lifetime = Lifetime { everywhere: "public, max-age=300", at_the_edge: "max-age=60" };

    async fn ask(path: &str, name: HeaderName, value: &str) -> axum::response::Response {
        let request = Request::get(path).header(name, value).body(Body::empty()).unwrap();
        page(LIFETIME).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_file_is_served_with_validator_lifetime_and_policy() {
        for (name, content_type) in FILES {
            let path = if name == "index.html" { "/docs/".to_owned() } else { format!("/docs/{name}") };
            let response = ask(&path, ACCEPT_ENCODING, "identity").await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], content_type);
            assert_eq!(response.headers()[CACHE_CONTROL], LIFETIME.everywhere);
            assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
            let etag = response.headers()[ETAG].to_str().unwrap().to_owned();
            assert_eq!(ask(&path, IF_NONE_MATCH, &etag).await.status(), StatusCode::NOT_MODIFIED, "{path}");
        }
    }

    #[tokio::test]
    async fn the_path_without_its_slash_redirects_with_the_same_guards() {
        let response = ask("/docs", ACCEPT_ENCODING, "identity").await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert!(GUARDS.iter().all(|(name, value)| response.headers()[name] == value), "{response:?}");
    }

    #[tokio::test]
    async fn gzip_and_plain_are_the_same_file() {
        let path = "/docs/swagger-ui-bundle.js";
        let (zipped, plain) = (ask(path, ACCEPT_ENCODING, "gzip").await, ask(path, ACCEPT_ENCODING, "identity").await);
        assert_eq!(zipped.headers()[CONTENT_ENCODING], "gzip");
        let [zipped, plain] = [to_bytes(zipped.into_body(), 1 << 24).await, to_bytes(plain.into_body(), 1 << 24).await];
        let (zipped, plain) = (zipped.unwrap(), plain.unwrap());
        assert!(zipped.len() < plain.len() / 2, "{} of {}", zipped.len(), plain.len());
        assert_eq!(expand(&zipped), plain);
    }
}
