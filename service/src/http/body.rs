//! Request bodies: read whole within a size and a time; JSON errors name the field and never the value.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use tokio::time::Instant;
use yima_schema::problem::{FieldError, Problem, ProblemType};

use super::unique_members::{self, NotUnique, reference_token};
use crate::redacted_serde::{missing_field, redact};

/// Least rate of a body's arrival, expanded: a mobile network at its worst has several times as much.
const MIN_BYTES_PER_S: u64 = 1_024;
/// The time after which the rate counts.
const GRACE: Duration = Duration::from_secs(5);

/// Reads a whole body.
///
/// # Errors
/// [`ProblemType::TooLarge`] over `max_bytes`, by `Content-Length` before anything is read, or when it expands to more;
/// [`ProblemType::Timeout`] when it is not complete after `timeout`, or slower than 1 kB/s after 5 s;
/// [`ProblemType::Malformed`] when it breaks off or does not expand. The connection is then closed, since the rest is
/// not read.
pub async fn read_body(body: Body, max_bytes: usize, timeout: Duration) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            ProblemType::TooLarge,
            format!("The body is too large: this route accepts up to {max_bytes} bytes"),
        )
    };
    if usize::try_from(body.size_hint().lower()).is_ok_and(|least| least > max_bytes) {
        return Err(too_large());
    }
    let (mut body, begun) = (Limited::new(body, max_bytes), Instant::now());
    // Not sized by `Content-Length`, so that memory is taken by what was sent. One buffer, since each frame can be a
    // byte.
    let mut read = Vec::new();
    loop {
        let paid_for = Duration::from_secs(read.len() as u64 / MIN_BYTES_PER_S);
        let frame = tokio::time::timeout_at(begun + timeout.min(GRACE + paid_for), body.frame()).await;
        let late = |_| Problem::new(ProblemType::Timeout, "The body did not arrive in time; send it again");
        match frame.map_err(late)? {
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..])),
            Some(Err(error)) if is_over_limit(&*error) => return Err(too_large()),
            Some(Err(_)) => {
                return Err(Problem::new(ProblemType::Malformed, "The body broke off, or does not match its headers"));
            }
            None => return Ok(read.into()),
        }
    }
}

/// Whether a limit of length ended the body: of the expanded one, or below its decoder of the one that was sent.
fn is_over_limit(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(|cause| cause.is::<LengthLimitError>())
}

/// Reads a JSON document.
///
/// # Errors
/// [`ProblemType::Malformed`] when it is not JSON (RFC 8259: syntax, UTF-8) or nested over 127 deep;
/// [`ProblemType::Invalid`] with a pointer to the first field that is not as expected, or that its object has twice.
/// Neither repeats a value.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    unique_members(bytes)?;
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut document).map_err(problem)?;
    document.end().map_err(|error| malformed(&error))?;
    Ok(read)
}

/// Reads a JSON object as a struct. [`json`] would also accept a list of its fields, as serde does.
///
/// # Errors
/// As [`json`].
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let fields: Map<String, Value> = json(bytes)?;
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(problem)
}

/// Reads any JSON document.
///
/// # Errors
/// As [`json`].
pub fn value(bytes: &[u8]) -> Result<Value, Problem> {
    unique_members(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

fn unique_members(bytes: &[u8]) -> Result<(), Problem> {
    unique_members::check(bytes).map_err(|error| match error {
        NotUnique::Duplicate(pointer) => unique_members::problem(pointer),
        NotUnique::Json(error) => malformed(&error),
    })
}

fn problem(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    match error.inner().classify() {
        serde_json::error::Category::Data => {
            let message = error.inner().to_string();
            Problem::invalid(vec![FieldError::new(pointer(error.path(), missing_field(&message)), redact(&message))])
        }
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            malformed(error.inner())
        }
    }
}

/// The problem of a document that is not JSON; the pointer is to the whole document, and nothing of it is repeated.
pub fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let detail = format!("Not JSON in UTF-8 from line {line}, column {column} on, or nested over 127 deep");
    let errors = vec![FieldError::new("", detail.clone())];
    Problem { errors, ..Problem::new(ProblemType::Malformed, detail) }
}

/// A JSON Pointer (RFC 6901) to where deserialising stopped, and to the field that is missing there.
fn pointer(path: &Path, missing: Option<&str>) -> String {
    let mut pointer = String::new();
    let mut push = |token: &str| {
        pointer.push('/');
        pointer.push_str(&reference_token(token));
    };
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&index.to_string()),
            Segment::Map { key } => push(key),
            Segment::Enum { variant } => push(variant),
            Segment::Unknown => break,
        }
    }
    if let Some(field) = missing {
        push(field);
    }
    pointer
}

/// The one of `accepted` that the content type is, whatever its case and parameters (RFC 9110 section 8.3.1).
///
/// # Errors
/// [`ProblemType::UnsupportedMediaType`] with the accepted types, also without a `Content-Type` or with two; or with a
/// `Content-Encoding` that is not supported.
pub fn content_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Problem> {
    content_encoding(headers)?;
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let one = fields.next().filter(|_| fields.next().is_none());
    let sent = one.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    let unsupported = || {
        let detail = format!("Send one of the content types that this route accepts: {}", accepted.join(", "));
        Problem::new(ProblemType::UnsupportedMediaType, detail)
    };
    accepted.iter().copied().find(|one| one.eq_ignore_ascii_case(essence)).ok_or_else(unsupported)
}

/// Refuses a body in a coding that is not supported, for routes that take no content type.
///
/// # Errors
/// [`ProblemType::UnsupportedMediaType`].
pub fn content_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    // The codings that are supported were removed with the coding.
    let is_plain = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let detail = "Content-Encoding: expected gzip, zstd or identity, one coding only";
    Err(Problem::new(ProblemType::UnsupportedMediaType, detail))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Event {
        #[expect(dead_code)]
        revision: u32,
        #[expect(dead_code)]
        tests: Vec<Test>,
    }

    #[derive(Deserialize, Debug)]
    struct Test {
        #[expect(dead_code)]
        #[serde(rename = "a/b~c")]
        result: Outcome,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "snake_case")]
    enum Outcome {
        Negative,
        Positive,
    }

    #[test]
    fn an_error_names_the_field_and_never_the_value() {
        for (document, pointer, detail) in [
            (r#"{"revision":"hunter2","tests":[]}"#, "/revision", "expected a whole number"),
            (
                r#"{"revision":1,"tests":[{"a/b~c":"negative"},{"a/b~c":"hunter2"}]}"#,
                "/tests/1/a~1b~0c",
                "`negative` or",
            ),
            (r#"{"revision":1,"tests":[{}]}"#, "/tests/0/a~1b~0c", "is required"),
            (r#"{"revision":1}"#, "/tests", "is required"),
            (r#"{"revision":1,"tests":[],"more":"hunter2"}"#, "/more", "a known field"),
            (r#"{"revision":1,"tests":[{"a/b~c":"positive","a/b~c":"hunter2"}]}"#, "/tests/0/a~1b~0c", "one member"),
            (r#""hunter2""#, "", "an object with fields"),
        ] {
            let problem = json::<Event>(document.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, ProblemType::Invalid, "{document}");
            assert_eq!(problem.errors[0].pointer, pointer);
            assert!(problem.errors[0].detail.contains(detail), "{problem:?}");
            assert!(!format!("{problem:?}").contains("hunter"), "{problem:?}");
        }
    }

    /// A body of `frames` that arrive `every` so often.
    fn arriving(frame: &'static [u8], frames: usize, every: Duration) -> Body {
        let frames = futures::stream::iter(std::iter::repeat_n(frame, frames));
        Body::from_stream(frames.then(move |frame| async move {
            tokio::time::sleep(every).await;
            Ok::<_, std::io::Error>(frame)
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_arrives_at_a_least_rate() {
        const MINUTE: Duration = Duration::from_secs(60);
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        for (frame, every) in [(&b"x"[..], second), (&b""[..], second), (&[b'x'; 900][..], second), (&b"x"[..], MINUTE)]
        {
            let begun = Instant::now();
            let late = read_body(arriving(frame, 1_000, every), 1_000_000, MINUTE).await.unwrap_err();
            assert_eq!(late.kind, ProblemType::Timeout);
            assert!(begun.elapsed() <= second * 45, "{:?} for {} bytes a frame", begun.elapsed(), frame.len());
        }
        assert!(begun.elapsed() >= GRACE * 4);
        for (frame, frames, every) in
            [(&[b'x'; 2_000][..], 40, second), (&b"x"[..], 4, second), (&b"x"[..], 1, GRACE / 2)]
        {
            let read = read_body(arriving(frame, frames, every), 1_000_000, MINUTE).await.unwrap();
            assert_eq!(read.len(), frame.len() * frames);
        }
        let late = read_body(arriving(&[b'x'; 2_000], 1_000, second), 10_000_000, MINUTE).await.unwrap_err();
        assert_eq!(late.kind, ProblemType::Timeout, "the whole time is limited too");
    }

    #[test]
    fn a_document_that_is_not_json_is_malformed() {
        let deep = "[".repeat(200);
        for document in [b"{".as_slice(), b"{} {}", b"\"\xff\"", b"", b"{'a':1}", deep.as_bytes()] {
            let problem = json::<Value>(document).unwrap_err();
            assert_eq!(problem.kind, ProblemType::Malformed, "{document:?}");
        }
        assert!(json::<Event>(br#"{"revision":1,"tests":[{"a/b~c":"positive"}]}"#).is_ok());
    }

    #[test]
    fn content_types_are_compared_by_essence() {
        let of = |sent: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, sent.parse().unwrap())]);
            content_type(&headers, &["application/json", "text/csv"])
        };
        assert_eq!(of("Application/JSON; charset=utf-8"), Ok("application/json"));
        assert_eq!(of("text/csv"), Ok("text/csv"));
        assert_eq!(of("text/plain").unwrap_err().kind, ProblemType::UnsupportedMediaType);
        assert!(content_type(&HeaderMap::new(), &["text/csv"]).is_err());
        let mut twice = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"))]);
        twice.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(content_type(&twice, &["text/csv"]).is_err());
    }
}
