//! `GET /v1/display`: the hot path. Open the session, find the entry, prove it, answer with bytes made before.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::Failure;

use crate::app::{App, no_answer};
use crate::body::DisplayBody;
use crate::cache::Answer;
use crate::cache::entry::{Display, Entry};
use crate::headers::{YIMA_REFRESH_AFTER, small_number};

/// The caller's own code, unsigned.
///
/// # Errors
/// 401, 403, 429, 503.
pub(crate) async fn display(app: Arc<App>, request: Request) -> Result<Response, Failure> {
    let now = (app.clock)();
    let (session, subject) = app.citizen(request.headers(), now)?;
    let remaining = app.limits.display.take(session, 1)?;
    let asked = request.headers().get(IF_NONE_MATCH);

    // The version that the client was shown. Looked into only when its tag is not of what we have: most ask again about the same.
    let shown = || asked.and_then(|asked| app.tags.version(subject, asked)).unwrap_or(Version::ABSENT);
    let serves = |answer: &Answer| {
        asked.is_none_or(|asked| *asked == show(&app, subject, &answer.entry, now).etag)
            || shown() <= answer.entry.held.version
    };
    let answer = match app.views.peek(subject, Version::ABSENT, now).filter(serves) {
        Some(answer) => app.views.give(subject, answer, now),
        None => app.views.get(subject, shown()).await.map_err(no_answer)?,
    };
    let display = show(&app, subject, &answer.entry, now);
    let unchanged = asked.is_some_and(|asked| matches(asked, &display.etag));

    let mut response = if unchanged {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(display.body.clone()))
    };
    let headers = response.headers_mut();
    headers.reserve(12);
    if !unchanged {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(ETAG, display.etag.clone());
    headers.insert(YIMA_REFRESH_AFTER, refresh_after(app.config.refresh_after_s));
    app.as_of.describe(&app.views, &answer, now, headers);
    app.limits.display.describe(remaining, headers);
    Ok(response)
}

fn show(app: &App, subject: SubjectId, entry: &Entry, now: Time) -> Arc<Display> {
    entry.display(now, |view| render(app, subject, entry.held.version, view, now))
}

fn render(app: &App, subject: SubjectId, version: Version, view: &View, now: Time) -> Display {
    let at = view.colour_at(now);
    let body = serde_json::to_vec(&DisplayBody::new(version.0, view, &at)).expect("a display body always encodes");
    Display {
        from: at.segment.filter(|_| at.index > 0).map_or(Time::MIN, |s| s.from),
        until: at.next_transition_at.unwrap_or(Time::MAX),
        body: body.into(),
        etag: app.tags.tag(subject, version, at.index),
    }
}

/// `If-None-Match` with weak comparison (RFC 9110 section 13.1.2).
fn matches(asked: &HeaderValue, etag: &HeaderValue) -> bool {
    if asked == etag {
        return true;
    }
    let Ok(list) = asked.to_str() else { return false };
    list.trim() == "*" || list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| etag == tag)
}

/// Spread by up to a quarter, so that pages which were opened together do not ask together.
fn refresh_after(seconds: u32) -> HeaderValue {
    let spread = seconds / 4;
    small_number(if spread == 0 { seconds.max(1) } else { seconds + rand::random_range(0..=spread) })
}
