//! Heads that are refused whatever their route: those that two readers of one connection could understand differently.

use axum::body::HttpBody;
use axum::http::header::{AUTHORIZATION, HOST, TE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Request, Version};
use yima_schema::problem::{Problem, ProblemType};

/// Checks the fields by which a request is framed, routed and authenticated. Allocates only for a refusal.
///
/// # Errors
/// [`ProblemType::Invalid`] naming the field: `Host` that is missing, twice there, or no host (RFC 9112 section 3.2);
/// two fields `Authorization` (RFC 9110 section 11.6.2); a `Transfer-Encoding` other than `chunked` (RFC 9112 section
/// 7); a `TE` that names `chunked` (RFC 9110 section 10.1.4).
pub(super) fn check<B: HttpBody>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let refuse = |detail: &str| Err(Problem::new(ProblemType::Invalid, detail));
    match fields(headers, HOST) {
        // HTTP/1.0 has no Host.
        (None, _) if request.version() < Version::HTTP_11 => {}
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (Some(_) | None, _) => {
            return refuse("Host: expected one field with a host name or address, and a port if any");
        }
    }
    if fields(headers, AUTHORIZATION).1.is_some() {
        return refuse("Authorization: expected one field");
    }
    if !request.body().is_end_stream() {
        match fields(headers, TRANSFER_ENCODING) {
            (None, _) => {}
            (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
            (Some(_), _) => return refuse("Transfer-Encoding: expected chunked and no other coding"),
        }
    }
    let names_chunked = |value: &HeaderValue| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    };
    if headers.get_all(TE).iter().any(names_chunked) {
        return refuse("TE: expected no chunked, which every client accepts");
    }
    Ok(())
}

/// The first and the second field of a name.
fn fields(headers: &HeaderMap, name: axum::http::HeaderName) -> (Option<&HeaderValue>, Option<&HeaderValue>) {
    let mut fields = headers.get_all(name).into_iter();
    (fields.next(), fields.next())
}

/// Whether this is a `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2) with a host.
pub(super) fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, port) = rest.split_at(end);
            let is_address = std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
            return is_address && is_port(&port[1..]);
        }
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => bytes.next().is_some_and(u8::is_ascii_hexdigit) && bytes.next().is_some_and(u8::is_ascii_hexdigit),
            other => IN_REG_NAME[usize::from(*other)],
        };
        if !is_valid {
            return false;
        }
    }
    !name.is_empty() && is_port(port)
}

/// The bytes of `unreserved` and `sub-delims` (RFC 3986 section 2). A table, since every request has a host.
const IN_REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut n = 0;
    while n < others.len() {
        table[others[n] as usize] = true;
        n += 1;
    }
    table
};

/// Nothing, or a colon and the number of a port, which may be left out.
fn is_port(text: &[u8]) -> bool {
    let Some((colon, digits)) = text.split_first() else { return true };
    let port = digits.iter().try_fold(0u32, |port, digit| match digit {
        b'0'..=b'9' => Some(port * 10 + u32::from(digit - b'0')).filter(|port| *port <= u32::from(u16::MAX)),
        _ => None,
    });
    *colon == b':' && port.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_address_with_or_without_a_port() {
        for host in ["x", "yima.example:8080", "127.0.0.1", "[::1]:8080", "[2001:db8::1]", "a_b", "a%20b", "x:", "x.:1"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        let malformed =
            ["", ":80", "a b", "a/b", "user@x", "x:80:80", "x:a", "x:+80", "x:65536", "[::1", "::1", "[x]", "[::1]x"];
        for host in malformed.into_iter().chain(["a%2", "a%", "\u{5065}", "x?", "x#", "http://x", "a,b:1 "]) {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
