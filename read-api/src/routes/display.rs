//! `GET /v1/display`: the hot path. Open the session, find the entry, prove it, answer with bytes made before.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_STATUS, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures::future::{BoxFuture, Either, Ready, ready};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::ProblemResponse;
use yima_service::http::public::names;
use yima_service::rate_limit::Remaining;

use crate::app::{App, Citizen, no_answer};
use crate::body::DisplayBody;
use crate::cache::Answer;
use crate::cache::entry::{Display, Entry};
use crate::headers::{YIMA_REFRESH_AFTER, brief_cache_status, small_number};

type Answered = Result<Response, ProblemResponse>;

/// The caller's own code, unsigned. What memory has is answered here and now: only who has to wait takes a future, and the app with it.
///
/// # Errors
/// 401, 403, 429, 503.
pub(crate) fn display(app: &Arc<App>, request: &HeaderMap) -> Either<Ready<Answered>, BoxFuture<'static, Answered>> {
    let asked = match Asked::of(app, request) {
        Ok(asked) => asked,
        Err(refused) => return Either::Left(ready(Err(refused))),
    };
    if let Some(answer) = asked.look(app) {
        return Either::Left(ready(Ok(asked.respond(app, &answer))));
    }
    let app = Arc::clone(app);
    Either::Right(Box::pin(async move {
        let answer = app.views.get(asked.subject, asked.shown(&app)).await.map_err(no_answer)?;
        Ok(asked.respond(&app, &answer))
    }))
}

/// A request that may be answered.
struct Asked {
    subject: SubjectId,
    now: Time,
    /// What is left of the session's limit.
    remaining: Remaining,
    /// `If-None-Match`.
    tags: Option<HeaderValue>,
}

impl Asked {
    fn of(app: &App, headers: &HeaderMap) -> Result<Self, ProblemResponse> {
        let now = (app.clock)();
        let Citizen { session, subject, .. } = app.citizen(headers, now)?;
        let remaining = app.limits.display.take(session, 1)?;
        Ok(Self { subject, now, remaining, tags: headers.get(IF_NONE_MATCH).cloned() })
    }

    /// The version that the client was shown.
    fn shown(&self, app: &App) -> Version {
        self.tags.as_ref().and_then(|tags| app.tags.version(self.subject, tags)).unwrap_or(Version::ABSENT)
    }

    /// The answer that memory has.
    fn look(&self, app: &App) -> Option<Answer> {
        let answer = app.views.peek(self.subject, Version::ABSENT, self.now)?;
        // The client's tag is opened only when it is not of what we have: most ask again about the same.
        let is_of_this = |tags: &HeaderValue| *tags == show(app, self.subject, &answer.entry, self.now).etag;
        let serves = self.tags.as_ref().is_none_or(is_of_this) || self.shown(app) <= answer.entry.held.version;
        serves.then(|| app.views.record_hit(self.subject, answer, self.now))
    }

    fn respond(&self, app: &App, answer: &Answer) -> Response {
        let display = show(app, self.subject, &answer.entry, self.now);
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.reserve(12);
        headers.insert(ETAG, display.etag.clone());
        headers.insert(YIMA_REFRESH_AFTER, small_number(refresh_after(app)));
        app.as_of.describe(&app.views, answer, self.now, headers);
        if self.tags.as_ref().is_some_and(|tags| names(tags, &display.etag)) {
            // As short as can be: it is what most requests get (RFC 9110 section 15.4.5).
            headers.insert(CACHE_STATUS, brief_cache_status(answer));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // Two fields fewer for nearly everyone, of thirteen that server and client have to write and read.
            if app.limits.display.is_low(self.remaining) {
                app.limits.display.describe(self.remaining, headers);
            }
            *response.body_mut() = Body::from(display.body.clone());
        }
        response
    }
}

pub(super) fn show(app: &App, subject: SubjectId, entry: &Entry, now: Time) -> Arc<Display> {
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

/// At most so many times as long as usual.
const MAX_STRETCH: f32 = 30.0;

fn refresh_after(app: &App) -> u32 {
    stretched(app.config.refresh_after_s, app.load.busy(), rand::random(), rand::random())
}

/// `seconds`, longer in proportion to how long requests wait for a server that is busy by that share, 1 / (1 - busy), from half on. Spread
/// by up to a quarter, so that pages which were opened together do not ask together; what is below a second decides how often the
/// next one is told. `spread` and `rounding` are random numbers from 0 to 1.
fn stretched(seconds: u32, busy: f32, spread: f32, rounding: f32) -> u32 {
    let stretch = (0.5 / (1.0 - busy)).clamp(1.0, MAX_STRETCH);
    (seconds.max(1) as f32 * stretch * (1.0 + spread / 4.0) + rounding) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busier_the_longer() {
        for (seconds, busy, spread, rounding, expected) in [
            (1, 0.0, 0.0, 0.0, 1),
            (1, 0.5, 0.99, 0.0, 1),
            (1, 0.5, 0.99, 0.99, 2),
            (1, 0.9, 0.0, 0.5, 5),
            (1, 0.95, 1.0, 0.7, 13),
            (1, 1.0, 0.0, 0.5, 30),
            (20, 0.2, 0.0, 0.0, 20),
            (20, 0.2, 0.99, 0.0, 24),
            (0, 0.0, 0.0, 0.0, 1),
        ] {
            assert_eq!(stretched(seconds, busy, spread, rounding), expected, "{seconds} s, {busy} busy");
        }
    }
}
