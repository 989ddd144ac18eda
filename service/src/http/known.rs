//! Requests of the one shape that is answered without hyper: a `GET` of one path, whole in one read, with fields that
//! mean nothing for its answer but those in [`Known`].

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::head::is_host;

/// Fields of one request at most.
const MAX_FIELDS: usize = 32;

/// Fields that change nothing in an answer: how the client calls itself, what it would accept, where it comes from. Any
/// field that is not known is a reason to leave the request to hyper.
const IGNORED: [&str; 30] = [
    "accept-encoding",
    "accept-language",
    "cache-control",
    "cookie",
    "dnt",
    "forwarded",
    "origin",
    "pragma",
    "priority",
    "referer",
    "save-data",
    "sec-ch-ua",
    "sec-ch-ua-arch",
    "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile",
    "sec-ch-ua-model",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// A request of that shape.
pub struct Known<'h> {
    /// The path; it has no query.
    pub path: &'h str,
    /// `Authorization`.
    pub authorization: &'h [u8],
    /// `If-None-Match`.
    pub if_none_match: Option<&'h [u8]>,
    /// The client may be a browser that opens an address: it gets a page in place of a problem.
    pub(super) may_want_page: bool,
}

impl<'h> Known<'h> {
    /// The request if `bytes` are exactly one of that shape. Anything unusual is `None`: another method or version, a
    /// body, an upgrade, a second request, a field twice, a `Host` that is none (RFC 9112 section 3.2).
    pub(super) fn read(bytes: &'h [u8]) -> Option<Self> {
        let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let read = request.parse_with_uninit_headers(bytes, &mut fields);
        if read != Ok(Status::Complete(bytes.len())) || request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let (mut host, mut authorization, mut if_none_match) = (None, None, None);
        let mut may_want_page = false;
        for Header { name, value } in &*request.headers {
            let once = match name.len() {
                4 if name.eq_ignore_ascii_case("host") => &mut host,
                13 if name.eq_ignore_ascii_case("authorization") => &mut authorization,
                13 if name.eq_ignore_ascii_case("if-none-match") => &mut if_none_match,
                6 if name.eq_ignore_ascii_case("accept") => {
                    may_want_page |= value.windows(5).any(|part| part.eq_ignore_ascii_case(b"text/"));
                    continue;
                }
                10 if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case(b"keep-alive") => continue,
                _ if IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(name)) => continue,
                _ => return None,
            };
            if once.replace(*value).is_some() {
                return None;
            }
        }
        host.filter(|host| is_host(host))?;
        Some(Self { path: request.path?, authorization: authorization?, if_none_match, may_want_page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /v1/display HTTP/1.1\r\nHost: yima.example\r\nauthorization: Bearer x\r\n";

    fn read(rest: &str) -> Option<(String, Option<String>)> {
        let bytes = format!("{HEAD}{rest}\r\n");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let known = Known::read(bytes.as_bytes())?;
        assert_eq!(known.path, "/v1/display");
        Some((text(known.authorization), known.if_none_match.map(text)))
    }

    #[test]
    fn a_usual_request_is_known() {
        let plain = Some(("Bearer x".to_owned(), None));
        assert_eq!(read(""), plain);
        assert_eq!(read("Connection: Keep-Alive\r\nAccept: */*\r\nSEC-CH-UA: \"x\"\r\n"), plain);
        assert_eq!(read("If-None-Match: \"a\"\r\n"), Some(("Bearer x".to_owned(), Some("\"a\"".to_owned()))));
    }

    #[test]
    fn whatever_could_mean_more_is_left_to_hyper() {
        for rest in [
            "content-length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "Connection: keep-alive, upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Expect: 100-continue\r\n",
            "TE: trailers\r\n",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
            "x-request-id: 7\r\n",
            "yima-at-least-as-fresh: x\r\n",
            "yima-for: x\r\n",
            "host: other.example\r\n",
            "Authorization: Bearer y\r\n",
            "if-none-match: a\r\nif-none-match: b\r\n",
            "range: bytes=0-1\r\n",
            "x y: z\r\n",
            ": z\r\n",
            " folded\r\n",
            "a",
            "\r\nGET /",
            "\r\n\r\n",
        ] {
            assert!(read(rest).is_none(), "{rest}");
        }
        let whole = format!("{HEAD}\r\n");
        for end in 0..whole.len() {
            assert!(Known::read(&whole.as_bytes()[..end]).is_none(), "{end} bytes");
        }
        for (from, to) in [("GET", "HEAD"), ("1.1", "1.0"), ("yima.example", "a b"), ("Host", "Hos"), ("auth", "aut")] {
            assert!(Known::read(whole.replacen(from, to, 1).as_bytes()).is_none(), "{to}");
        }
        let many = format!("{HEAD}{}\r\n", "dnt: 1\r\n".repeat(MAX_FIELDS));
        assert!(Known::read(many.as_bytes()).is_none());
    }
}
