//! Answers that are given without hyper: to a request of the known shape, at once, as bytes for the socket.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use axum::http::header::{CACHE_STATUS, CONTENT_LENGTH, DATE, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ProblemResponse;
use super::edge::YIMA_LEVEL;
use super::known::Known;
use super::request_id::{self, X_REQUEST_ID};

/// Answers requests of one route at once, or leaves them to hyper and the router.
pub trait Direct: Send + Sync {
    /// Writes the whole answer. `false`: the request is left, and nothing was counted or taken for it.
    fn answer(&self, request: &Known<'_>, answer: &mut Answer) -> bool;
}

/// Header fields of an answer, whichever way it goes.
pub trait Fields {
    /// Sets a field that the answer has once.
    fn insert(&mut self, name: HeaderName, value: HeaderValue);
    /// Adds a field that the answer may have several times.
    fn append(&mut self, name: HeaderName, value: HeaderValue);
}

impl Fields for HeaderMap {
    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.append(name, value);
    }
}

/// The bytes of an answer: [`Self::begin`], its fields, [`Self::end`]. Fields are in the order of the other way.
pub struct Answer {
    bytes: Vec<u8>,
    status: StatusCode,
    id: [u8; 16],
    hsts: Option<HeaderValue>,
    /// `Cache-Status`.
    pub(super) cache_status: Option<HeaderValue>,
    /// `Yima-Level`.
    pub(super) level: Option<HeaderValue>,
}

impl Answer {
    /// `hsts`: the value of `Strict-Transport-Security`, if it is to be sent.
    pub(super) fn new(hsts: Option<HeaderValue>) -> Self {
        let (bytes, status, id) = (Vec::new(), StatusCode::OK, request_id::digits());
        Self { bytes, status, id, hsts, cache_status: None, level: None }
    }

    /// The request's id.
    pub(super) fn id(&self) -> &str {
        std::str::from_utf8(&self.id).expect("hex digits")
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Starts an answer with a body, or without one if `status` is 304.
    pub fn begin(&mut self, status: StatusCode) {
        self.status = status;
        // The longest usual answers: a 304, and a display with its fields.
        self.bytes.reserve(if status == StatusCode::NOT_MODIFIED { 512 } else { 2_048 });
        for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
    }

    /// Ends an answer with its body; a 304 has none.
    pub fn end(&mut self, body: &[u8]) {
        let has_body = self.status != StatusCode::NOT_MODIFIED;
        if has_body {
            let id = self.id;
            self.field(X_REQUEST_ID.as_str(), &id);
        }
        if let Some(level) = self.level.take() {
            self.field(YIMA_LEVEL.as_str(), level.as_bytes());
        }
        if let Some(hsts) = self.hsts.take() {
            self.field(STRICT_TRANSPORT_SECURITY.as_str(), hsts.as_bytes());
        }
        if has_body {
            self.field(CONTENT_LENGTH.as_str(), body.len().to_string().as_bytes());
        }
        self.write_date();
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(if has_body { body } else { &[] });
    }

    /// Writes a problem as the whole answer; returns its status.
    pub(super) fn refuse(&mut self, prepared: &Prepared) -> StatusCode {
        self.begin(prepared.status);
        self.bytes.extend_from_slice(&prepared.fields);
        self.end(&prepared.body);
        prepared.status
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        write_field(&mut self.bytes, name, value);
    }

    /// `Date` (RFC 9110 section 6.6.1), written anew once a second.
    fn write_date(&mut self) {
        thread_local! {
            static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
        }
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        LAST.with_borrow_mut(|(second, text)| {
            if *second != since_epoch.as_secs() {
                *second = since_epoch.as_secs();
                *text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_epoch);
            }
            self.field(DATE.as_str(), text.as_bytes());
        });
    }
}

/// A problem as an answer that is given often: its header fields and body as bytes.
pub(super) struct Prepared {
    status: StatusCode,
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl From<ProblemResponse> for Prepared {
    fn from(problem: ProblemResponse) -> Self {
        let (status, headers, body) = problem.into_parts();
        let mut fields = Vec::new();
        headers.iter().for_each(|(name, value)| write_field(&mut fields, name.as_str(), value.as_bytes()));
        Self { status, fields, body }
    }
}

fn write_field(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

impl Fields for Answer {
    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.field(name.as_str(), value.as_bytes());
        if name == CACHE_STATUS {
            self.cache_status = Some(value);
        }
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }
}
