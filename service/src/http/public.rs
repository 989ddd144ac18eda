//! Public documents: the same for all clients and without a session. Made once; any cache may keep them and revalidate
//! them by entity tag.

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// `Cache-Control` for a site's own caches (RFC 9213).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The tags of a document, by which a site's own caches forget all documents of a kind at once (Fastly, Varnish's xkey).
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

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

/// A document as it is sent, plain and with gzip.
#[derive(Clone)]
pub struct Public {
    identity: Representation,
    gzip: Option<Representation>,
}

/// A body with the header fields of its 200. Each content coding has an entity tag of its own (RFC 9110 section
/// 8.8.3.3).
#[derive(Clone)]
struct Representation {
    body: Bytes,
    headers: HeaderMap,
}

impl Public {
    /// A document of this body and media type. `surrogate_key`: what caches forget it by.
    pub fn new(body: Bytes, content_type: &'static str, lifetime: Lifetime, surrogate_key: &'static str) -> Self {
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (ETAG, etag(&body)),
            (CACHE_CONTROL, HeaderValue::from_static(lifetime.everywhere)),
            (CDN_CACHE_CONTROL, HeaderValue::from_static(lifetime.at_the_edge)),
            (SURROGATE_KEY, HeaderValue::from_static(surrogate_key)),
        ]);
        Self { identity: Representation { body, headers }, gzip: None }
    }

    /// Adds the same body with gzip (RFC 1952), compressed beforehand: clients that accept it get this one.
    pub fn with_gzip(mut self, body: Bytes) -> Self {
        let mut headers = self.identity.headers.clone();
        headers.insert(ETAG, etag(&body));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        self.gzip = Some(Representation { body, headers });
        self.with(VARY, HeaderValue::from_static("accept-encoding"))
    }

    /// Adds a header field.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        for representation in [Some(&mut self.identity), self.gzip.as_mut()].into_iter().flatten() {
            representation.headers.insert(name.clone(), value.clone());
        }
        self
    }

    /// The entity tag without coding: what names exactly this content.
    pub fn etag(&self) -> &HeaderValue {
        &self.identity.headers[ETAG]
    }

    /// 200 in the coding that the client accepts, or 304 to an `If-None-Match` that names its tag (RFC 9110 sections
    /// 13.1.2 and 15.4.5).
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request));
        let Representation { body, headers } = gzip.unwrap_or(&self.identity);
        let mut headers = headers.clone();
        if request.get_all(IF_NONE_MATCH).iter().any(|tags| names(tags, &headers[ETAG])) {
            headers.remove(CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, body.clone()).into_response()
    }
}

/// Whether `Accept-Encoding` allows gzip, by its name or by `*` (RFC 9110 section 12.5.3).
pub(super) fn accepts_gzip(request: &HeaderMap) -> bool {
    let fields = request.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let codings = fields.flat_map(|field| field.split(',')).map(|part| part.split_once(';').unwrap_or((part, "")));
    let codings: Vec<_> = codings.map(|(name, weight)| (name.trim(), weight.trim())).collect();
    let weight_of = |name: &str| codings.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
    let is_zero = |weight: &str| weight.trim_start_matches(['q', 'Q', '=']).parse() == Ok(0.0);
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|(_, weight)| !is_zero(weight))
}

/// The weight that `Accept` gives a media type, by its most specific range; 1 without `Accept`, 0: not accepted (RFC 9110
/// section 12.5.1).
pub fn weight(request: &HeaderMap, media_type: &str) -> f32 {
    let fields = request.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let ranges = fields.flat_map(|field| field.split(',')).map(|part| part.split_once(';').unwrap_or((part, "")));
    let ranges: Vec<_> = ranges.map(|(range, parameters)| (range.trim(), parameters)).collect();
    let of_type = media_type.split_once('/').map(|(kind, _)| format!("{kind}/*")).unwrap_or_default();
    let names = [media_type, &of_type, "*/*"];
    let range = names.iter().find_map(|name| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(name)));
    let Some((_, parameters)) = range else { return f32::from(u8::from(ranges.is_empty())) };
    let weight =
        parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='));
    weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0))
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
        let of = |body: &'static str| Public::new(body.into(), "text/plain", lifetime, "texts");
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

    #[test]
    fn the_most_specific_range_gives_a_media_type_its_weight() {
        let of = |accept: &str| weight(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]), "application/a");
        for (accept, expected) in [
            ("application/a", 1.0),
            ("Application/A;q=0.5", 0.5),
            ("*/*;q=0.1, application/*;q=0.2, application/a;v=1;q=0.3", 0.3),
            ("*/*;q=0.1, application/*;q=0.2", 0.2),
            ("*/*, application/a;q=0", 0.0),
            ("application/a;q=x", 0.0),
            ("text/html", 0.0),
        ] {
            assert_eq!(of(accept), expected, "{accept}");
        }
        assert_eq!(weight(&HeaderMap::new(), "application/a"), 1.0);
    }

    #[test]
    fn a_coding_of_weight_zero_is_not_accepted() {
        let accepts =
            |codings: &str| accepts_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, codings.parse().unwrap())]));
        for codings in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1, *;q=0.1", "gzip;q=1.0, *;q=0"] {
            assert!(accepts(codings), "{codings}");
        }
        for codings in ["", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "*, gzip;q=0", "identity"] {
            assert!(!accepts(codings), "{codings}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
