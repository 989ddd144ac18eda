//! Cookies (RFC 6265bis) of a browser that signs in. All have the prefix `__Host-`: only this host sets and gets them,
//! and only over TLS, or on this machine.

use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// When a browser sends a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SameSite {
    /// Never with a request that another site has caused.
    Strict,
    /// Also when another site leads to an address here: the provider does, at the end of a sign-in.
    Lax,
}

/// The value of a cookie; the first one, if a browser sends several of a name.
pub(super) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(found, value)| (found == name).then_some(value))
}

/// `Set-Cookie` with a value of base64url that no script can read.
///
/// # Panics
/// The value is none of visible ASCII.
pub(super) fn set(name: &str, value: &str, lifetime: Duration, same_site: SameSite) -> HeaderValue {
    let same_site = match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
    };
    let seconds = lifetime.as_secs();
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={same_site}");
    HeaderValue::try_from(cookie).expect("base64url is visible ASCII")
}

/// `Set-Cookie` that removes one.
pub(super) fn remove(name: &str) -> HeaderValue {
    set(name, "", Duration::ZERO, SameSite::Strict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-b=2;c=3"));
        headers.append(COOKIE, HeaderValue::from_static("d=4"));
        for (name, value) in
            [("a", Some("1")), ("__Host-b", Some("2")), ("c", Some("3")), ("d", Some("4")), ("b", None)]
        {
            assert_eq!(find(&headers, name), value, "{name}");
        }
        assert!(remove("__Host-b").to_str().unwrap().contains("Max-Age=0"));
    }
}
