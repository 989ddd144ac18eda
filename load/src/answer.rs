//! As much of an answer as a load generator needs: status, where it ends, and whether the connection goes on.

use std::ops::Range;

/// Largest answer that is read, in bytes; longest head, in fields.
pub(crate) const MAX_BYTES: usize = 1 << 20;
const MAX_FIELDS: usize = 64;

/// A whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where its body is; with its framing, if it came in chunks.
    pub(crate) body: Range<usize>,
    pub(crate) closes: bool,
}

/// The head of an answer.
struct Head {
    status: u16,
    bytes: usize,
    length: Option<usize>,
    chunked: bool,
    closes: bool,
}

/// These bytes are no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// Reads an answer to a request that is not `HEAD`; `None` while it is not whole. Bytes behind its end are malformed:
/// nothing was asked for.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
    let Some(Head { status, bytes: start, length, chunked, closes }) = head(bytes)? else { return Ok(None) };
    let end = match (status, length) {
        (204 | 304, _) => Some(start),
        (_, Some(length)) => start.checked_add(length).filter(|end| *end <= MAX_BYTES).map(Some).ok_or(Malformed)?,
        (_, None) if chunked => end_of_chunks(bytes, start)?,
        // It would end with the connection, which the service never does.
        (_, None) => return Err(Malformed),
    };
    match end {
        Some(end) if end == bytes.len() => Ok(Some(Answer { status, body: start..end, closes })),
        Some(end) if end < bytes.len() => Err(Malformed),
        _ if bytes.len() > MAX_BYTES => Err(Malformed),
        _ => Ok(None),
    }
}

/// The status of an answer whose body has no end, once its head is whole.
pub(crate) fn status(bytes: &[u8]) -> Result<Option<u16>, Malformed> {
    Ok(head(bytes)?.map(|head| head.status))
}

fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let size = match response.parse(bytes).map_err(|_| Malformed)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial if bytes.len() > MAX_BYTES => return Err(Malformed),
        httparse::Status::Partial => return Ok(None),
    };
    let mut head =
        Head { status: response.code.unwrap_or(0), bytes: size, length: None, chunked: false, closes: false };
    for field in response.headers.iter() {
        let is = |value: &str| field.value.eq_ignore_ascii_case(value.as_bytes());
        if field.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
            head.length = Some(length.ok_or(Malformed)?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = is("chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.closes = is("close");
        }
    }
    Ok(Some(head))
}

/// The end of a body in chunks (RFC 9112 section 7.1), without trailers.
fn end_of_chunks(bytes: &[u8], mut at: usize) -> Result<Option<usize>, Malformed> {
    loop {
        let (size_at, size) = match httparse::parse_chunk_size(bytes.get(at..).unwrap_or_default()) {
            Ok(httparse::Status::Complete((skip, size))) => (at + skip, size as usize),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        let end = size_at.checked_add(size).and_then(|end| end.checked_add(2)).filter(|end| *end <= MAX_BYTES);
        let end = end.ok_or(Malformed)?;
        if end > bytes.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(end));
        }
        at = end;
    }
}

/// The code in the body of `GET /v1/code`.
pub(crate) fn code(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()?.split_once("\"code\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole_and_never_before() {
        for (text, status, body, closes) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false),
            ("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n", 304, "", false),
            ("HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", 429, "{}", true),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                200,
                "3\r\nabc\r\n0\r\n\r\n",
                false,
            ),
        ] {
            for end in 0..text.len() {
                assert_eq!(read(&text.as_bytes()[..end]), Ok(None), "{text}, {end} bytes");
            }
            let answer = read(text.as_bytes()).unwrap().unwrap();
            assert_eq!((answer.status, &text[answer.body], answer.closes), (status, body, closes));
            assert_eq!(read(format!("{text}x").as_bytes()), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn the_code_of_an_answer_is_found() {
        assert_eq!(code(br#"{"code":"YM1:AB$*/:","expires_at":"2026"}"#), Some("YM1:AB$*/:"));
        assert_eq!(code(b"{}"), None);
    }
}
