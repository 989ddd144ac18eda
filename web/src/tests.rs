use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

async fn fetch_of(assets: &[Asset], path: &str) -> Response {
    router(assets).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

/// Every asset with the port's own ones.
fn every_asset() -> impl Iterator<Item = (&'static [Asset], &'static Asset)> {
    [&READING[..], &AGENCY].into_iter().flat_map(|all| all.iter().chain(&COMMON).map(move |one| (all, one)))
}

async fn fetch(path: &str) -> Response {
    fetch_of(&READING, path).await
}

#[tokio::test]
async fn every_asset_is_served_with_its_content_type_and_nosniff() {
    for (assets, asset) in every_asset() {
        let response = fetch_of(assets, asset.path).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", asset.path);
        assert_eq!(response.headers()[header::CONTENT_TYPE], content_type(asset.kind));
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::CACHE_CONTROL], lifetime(asset.kind).everywhere);
        assert_eq!(response.headers()["cdn-cache-control"], lifetime(asset.kind).at_the_edge);
        assert!(response.headers().contains_key(header::ETAG));
    }
}

#[tokio::test]
async fn every_asset_but_a_png_is_sent_with_gzip_to_clients_that_accept_it() {
    for (assets, asset) in every_asset() {
        let Some(bytes) = asset.zipped else { continue };
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
        let whole = asset.body.len();
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < whole, "{}", asset.path);
        assert_eq!(bytes.last_chunk().map(|size| u32::from_le_bytes(*size) as usize), Some(whole));
    }
}

#[tokio::test]
async fn an_address_of_a_page_names_the_content_and_is_kept_for_good() {
    let lifetime = async |path: &str| fetch(path).await.headers()[header::CACHE_CONTROL].clone();
    for page in ["/", "/checkpoint", "/offline.html"] {
        let html = text(asset(&READING, page));
        let named: Vec<_> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
        assert!(!named.is_empty(), "{page}");
        for address in named {
            assert_eq!(lifetime(address).await, NAMED_LIFETIME.everywhere, "{address}");
            let (path, version) = address.split_once("?v=").unwrap();
            for other in [path.to_owned(), format!("{path}?v={}", version.replace(char::is_numeric, "x"))] {
                assert_eq!(lifetime(&other).await, LIFETIME.everywhere, "{other}");
            }
        }
    }
}

#[tokio::test]
async fn a_slash_after_the_checkpoints_address_leads_to_its_page() {
    let request = Request::get("/checkpoint/").body(Body::empty()).unwrap();
    let moved = reading().oneshot(request).await.unwrap();
    assert_eq!(moved.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(moved.headers()[header::LOCATION], "/checkpoint");
}

#[tokio::test]
async fn pages_forbid_inline_code_and_only_the_checkpoint_page_may_use_the_camera() {
    let (citizen, checkpoint) = (fetch("/").await, fetch("/checkpoint").await);
    let policy = |page: &Response| page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    for page in [&citizen, &checkpoint] {
        assert!(policy(page).starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy(page).contains("unsafe"));
    }
    assert!([&citizen, &checkpoint].iter().all(|page| policy(page).contains("worker-src 'self'")));
    assert!(citizen.headers()[PERMISSIONS_POLICY].to_str().unwrap().starts_with("camera=(),"));
    assert!(checkpoint.headers()[PERMISSIONS_POLICY].to_str().unwrap().starts_with("camera=(self),"));
    let worker = fetch("/assets/reader-worker.js").await;
    assert_eq!(policy(&worker), "default-src 'none'", "the worker can send a code nowhere");
    for path in ["/citizen-worker.js", "/checkpoint-worker.js"] {
        let worker = fetch(path).await;
        assert_eq!(policy(&worker), "default-src 'none'; connect-src 'self'");
        assert_eq!(worker.headers()[header::CACHE_CONTROL], "no-cache", "a new version is seen at once");
    }
}

#[test]
fn styles_avoid_selectors_that_old_phones_lack() {
    for (_, style) in every_asset().filter(|(_, asset)| asset.kind == Kind::Style) {
        // Chromium before 105 and Firefox before 121 drop a rule with `:has`, which leaves white text on white.
        assert!(!text(style).contains(":has("), "{}", style.path);
    }
}

#[test]
fn names_and_numbers_are_isolated_from_the_text_around_them() {
    let body = |path: &str| text(asset(&READING, path));
    for id in ["name", "document"] {
        assert!(body("/").contains(&format!("<bdi id=\"{id}\">")), "{id}");
    }
    assert!(body("/assets/checkpoint.js").matches("\"bdi\"").count() >= 2);
}

#[test]
fn pages_load_only_served_assets_and_have_no_inline_code() {
    for (assets, page) in every_asset().filter(|(_, one)| matches!(one.kind, Kind::Page | Kind::CameraPage)) {
        let html = text(page);
        assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("<script>"));
        // Only these two attributes name files to load; `name` attributes of form fields look like paths too.
        let loaded = ["src=\"", "href=\""].into_iter().flat_map(|name| html.split(name).skip(1));
        // An empty link is the page's own address.
        for part in loaded.filter_map(|rest| rest.split('"').next()).filter(|part| !part.is_empty()) {
            let path = part.split('?').next().unwrap_or(part);
            assert!(is_served(assets, path), "{} names {part}", page.path);
        }
    }
}

/// A page with its service worker and its manifest.
const INSTALLABLE: [(&[Asset], &str, &str, &str); 3] = [
    (&READING, "/", "/citizen-worker.js", "/citizen.webmanifest"),
    (&READING, "/checkpoint", "/checkpoint-worker.js", "/checkpoint.webmanifest"),
    (&AGENCY, "/", "/agency-worker.js", "/agency.webmanifest"),
];

#[test]
fn a_page_can_be_installed_with_icons_of_the_stated_size() {
    for (assets, page, _, manifest) in INSTALLABLE {
        let manifest: Value = serde_json::from_str(text(asset(assets, manifest))).expect("JSON");
        for key in ["id", "start_url", "scope"] {
            assert_eq!(manifest[key], page, "{key}");
        }
        assert_eq!(manifest["display"], "standalone");
        let icons = manifest["icons"].as_array().expect("a list");
        for icon in icons {
            let file = asset(assets, icon["src"].as_str().expect("a path"));
            assert_eq!(icon["type"], content_type(file.kind));
            if file.kind == Kind::Icon {
                // Width and height follow the signature and the chunk's head (ISO/IEC 15948 section 11.2.1).
                let [width, height] = [16, 20].map(|at| u32::from_be_bytes(file.body[at..at + 4].try_into().unwrap()));
                assert_eq!(icon["sizes"], format!("{width}x{height}"));
            }
        }
        assert!(icons.iter().any(|icon| icon["purpose"] == "maskable"));
    }
}

#[test]
fn a_service_worker_keeps_the_static_files_of_its_page_and_nothing_else() {
    for (assets, page, worker, _) in INSTALLABLE {
        let script = text(asset(assets, worker));
        // The list of files: `"/path":"sha256-…"`.
        let kept: Vec<_> = script.match_indices(":\"sha256-").map(|(at, _)| path_before(script, at)).collect();
        for path in [page, "/offline.html", "/assets/base.css", "/favicon.svg"] {
            assert!(kept.contains(&path), "{worker}: {path} of {kept:?}");
        }
        for path in &kept {
            assert!(is_served(assets, path), "{worker} keeps {path}, which is no static file");
            assert!(!path.starts_with("/v1/") && !path.starts_with("/demo/"), "{path}");
        }
        // Whatever the HTML loads.
        let loaded = assets.iter().map(|asset| asset.path).filter(|path| path.starts_with("/assets/"));
        for path in loaded.filter(|path| text(asset(assets, page)).contains(path)) {
            assert!(kept.contains(&path), "{worker} lacks {path}");
        }
    }
}

fn path_before(script: &str, end: usize) -> &str {
    let quoted = script[..end].trim_end_matches('"');
    &quoted[quoted.rfind('"').map_or(0, |at| at + 1)..]
}

fn asset<'a>(assets: &'a [Asset], path: &str) -> &'a Asset {
    assets.iter().chain(&COMMON).find(|asset| asset.path == path).unwrap_or_else(|| panic!("no {path}"))
}

fn is_served(assets: &[Asset], path: &str) -> bool {
    assets.iter().chain(&COMMON).any(|asset| asset.path == path)
}

fn text(asset: &Asset) -> &str {
    std::str::from_utf8(asset.body).expect("text")
}
