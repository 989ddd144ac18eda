//! One display, asked for as the person's own page does: a sealed session and nothing else that would tell the request
//! from a phone's.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use yima_service::http::client::{Client, send};

/// How long a session of the auditor is valid.
const SESSION: Duration = Duration::from_secs(60);

/// What came of a request.
pub(crate) enum Answer {
    /// A display.
    Display(Display),
    /// Another status than 200.
    Refused,
    /// No answer in time, or one that cannot be read.
    Unanswered,
}

/// The parts of an answer that are judged. Everything else of it is dropped unread.
pub(crate) struct Display {
    /// Of the view.
    pub version: Version,
    /// When the newest test was taken. `None`: the answer leaves tests out; `Some(None)`: there is none.
    pub newest_test: Option<Option<Time>>,
    /// `Yima-As-Of`.
    pub as_of: Option<Time>,
    /// `Yima-Regions-As-Of`.
    pub regions_as_of: String,
}

#[derive(Deserialize)]
struct Body {
    version: u64,
    tests: Option<Vec<Test>>,
}

#[derive(Deserialize)]
struct Test {
    sampled_at: Option<Time>,
}

impl Display {
    fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let Body { version, tests } = serde_json::from_slice(body).ok()?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Some(Self {
            version: Version(version),
            newest_test: tests.map(|tests| tests.iter().filter_map(|test| test.sampled_at).max()),
            as_of: text("yima-as-of").parse().ok(),
            regions_as_of: text("yima-regions-as-of").to_owned(),
        })
    }

    /// The moment up to which the answer has everything that another region acknowledged. The field is a dictionary of
    /// strings (RFC 9651 section 3.2); region names need no escapes.
    pub fn as_of_region(&self, region: &str) -> Option<Time> {
        let members = self.regions_as_of.split(',').filter_map(|member| member.trim().split_once('='));
        let (_, moment) = members.into_iter().find(|(name, _)| *name == region)?;
        moment.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
    }
}

/// Asks a node for a subject's display.
pub(crate) async fn ask(
    client: &Client,
    url: &str,
    subject: SubjectId,
    keys: &SealKeys,
    now: Time,
    timeout: Duration,
) -> Answer {
    let holder = Holder::Citizen { subject };
    let session = Session { id: rand::random(), started_at: now, expires_at: now.plus(SESSION), holder };
    let request = Request::get(format!("{url}/v1/display"));
    let request = request.header(AUTHORIZATION, format!("Bearer {}", session.seal(keys)));
    let request = request.body(Full::new(Bytes::new())).expect("the settings' URLs and base64url are valid");
    match send(client, request, timeout).await {
        Some(reply) if reply.status == StatusCode::OK => {
            Display::parse(&reply.headers, &reply.body).map_or(Answer::Unanswered, Answer::Display)
        }
        Some(_) => Answer::Refused,
        None => Answer::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_judged_is_read_and_a_body_without_a_version_is_no_display() {
        let headers: HeaderMap = [
            ("yima-as-of", "2026-11-30T10:00:00.500Z"),
            ("yima-regions-as-of", "chengdu=\"2026-11-30T09:59:59Z\", lhasa"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
        let body = r#"{"version":281474976710657,"colour":{"code":"green"},"tests":[
            {"test":"nucleic_acid","sampled_at":"2026-11-29T00:00:00Z"},{"sampled_at":"2026-11-30T00:00:00Z"}]}"#;
        let display = Display::parse(&headers, body.as_bytes()).unwrap();
        assert_eq!(display.version, Version(1 << 48 | 1));
        assert_eq!(display.newest_test, Some("2026-11-30T00:00:00Z".parse().ok()));
        assert_eq!(display.as_of, "2026-11-30T10:00:00.500Z".parse().ok());
        assert_eq!(display.as_of_region("chengdu"), "2026-11-30T09:59:59Z".parse().ok());
        assert_eq!((display.as_of_region("lhasa"), display.as_of_region("xian")), (None, None));
        let bare = Display::parse(&HeaderMap::new(), br#"{"version":0}"#).unwrap();
        assert_eq!((bare.newest_test, bare.as_of), (None, None));
        assert_eq!(Display::parse(&headers, br#"{"version":1,"tests":[]}"#).unwrap().newest_test, Some(None));
        for no_display in [&b""[..], b"{}", b"<html>", br#"{"version":-1}"#] {
            assert!(Display::parse(&headers, no_display).is_none());
        }
    }
}
