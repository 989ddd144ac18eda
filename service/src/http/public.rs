//! Public documents: the same for all clients and without a session. Made once; any cache may keep them and revalidate
//! them by entity tag.

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// `Cache-Control` for a site's own caches (RFC 9213).
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Whether an `If-None-Match` names a tag. The comparison is weak, as RFC 9110 section 13.1.2 demands: a proxy that
/// compressed the answer has put `W/` before the tag.
pub fn names(if_none_match: &HeaderValue, etag: &HeaderValue) -> bool {
    let mut tags = if_none_match.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if_none_match == etag || tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

/// How long copies may be used: fresh, then while a new one is being fetched or cannot be fetched (RFC 5861).
#[derive(Clone, Copy)]
pub struct Lifetime {
    /// `Cache-Control`, for every cache.
    pub everywhere: &'static str,
    /// `CDN-Cache-Control`: shorter, so that a browser's copy from such a cache still has most of its lifetime.
    pub at_the_edge: &'static str,
}

/// A document with the header fields of its 200.
#[derive(Clone)]
pub struct Public {
    body: Bytes,
    headers: HeaderMap,
}

impl Public {
    /// A document of a body and its type.
    pub fn new(body: Bytes, content_type: &'static str, lifetime: Lifetime) -> Self {
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (ETAG, etag(&body)),
            (CACHE_CONTROL, HeaderValue::from_static(lifetime.everywhere)),
            (CDN_CACHE_CONTROL, HeaderValue::from_static(lifetime.at_the_edge)),
        ]);
        Self { body, headers }
    }

    /// Adds a header field.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// 200, or 304 to an `If-None-Match` that names the tag (RFC 9110 sections 13.1.2 and 15.4.5).
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let mut headers = self.headers.clone();
        if request.get_all(IF_NONE_MATCH).iter().any(|tags| names(tags, &headers[ETAG])) {
            headers.remove(CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.body.clone()).into_response()
    }
}

/// A strong tag: the first 128 bits of the body's SHA-256, in hex.
fn etag(body: &[u8]) -> HeaderValue {
    let hash = digest::digest(&digest::SHA256, body);
    let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Hex digits and quotes are visible ASCII, as a header value has to be.
    HeaderValue::try_from(format!("\"{hex}\"")).expect("hex is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(document: &Public, tags: &[&str]) -> Response {
        document.respond(&tags.iter().map(|tag| (IF_NONE_MATCH, tag.parse().unwrap())).collect())
    }

    #[test]
    fn a_copy_that_the_client_has_is_not_sent_again() {
        let lifetime = Lifetime { everywhere: "public, max-age=60", at_the_edge: "max-age=30" };
        let of = |body: &'static str| Public::new(body.into(), "text/plain", lifetime);
        let document = of("a");
        let whole = get(&document, &[]);
        let etag = whole.headers()[ETAG].to_str().unwrap();
        assert_eq!(whole.status(), StatusCode::OK);
        assert_ne!(get(&of("b"), &[]).headers()[ETAG], etag, "the tag is the content's");
        let weak = format!("W/{etag}");
        for tags in [&[etag][..], &[&weak], &["*"], &["\"other\"", etag], &[&format!("\"other\", {etag}")]] {
            let unchanged = get(&document, tags);
            assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED, "{tags:?}");
            for name in [ETAG, CACHE_CONTROL, CDN_CACHE_CONTROL] {
                assert_eq!(
                    unchanged.headers()[&name],
                    whole.headers()[&name],
                    "a 304 has the fields that freshen the copy"
                );
            }
            assert!(!unchanged.headers().contains_key(CONTENT_TYPE));
        }
        assert_eq!(get(&document, &["\"other\""]).status(), StatusCode::OK);
    }
}
