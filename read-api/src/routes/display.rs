//! `GET /v1/display`: the hot path. Opens the session, finds the entry, judges it, and answers with bytes made before.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_STATUS, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures::future::{BoxFuture, Either, Ready, ready};
use yima_schema::freshness::Freshness;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::ProblemResponse;
use yima_service::http::public::names;
use yima_service::rate_limit::Remaining;

use crate::app::{App, Citizen};
use crate::body::DisplayBody;
use crate::cache::{Answer, Display, Entry};
use crate::headers::{YIMA_REFRESH_AFTER, brief_cache_status, small_number};

type DisplayResult = Result<Response, ProblemResponse>;

/// The caller's own display. An answer from memory is given at once; only a request that has to wait for a load boxes a
/// future.
///
/// # Errors
/// 400, 401, 403, 429, 503.
pub(crate) fn display(
    app: &Arc<App>,
    request: &HeaderMap,
) -> Either<Ready<DisplayResult>, BoxFuture<'static, DisplayResult>> {
    let request = match DisplayRequest::admit(app, request) {
        Ok(request) => request,
        Err(problem) => return Either::Left(ready(Err(problem))),
    };
    if let Some(answer) = request.answer_from_memory(app) {
        return Either::Left(ready(request.respond(app, &answer)));
    }
    let app = Arc::clone(app);
    Either::Right(Box::pin(async move {
        let mut request = request;
        let at_least = request.at_least.take();
        let answer = app.look_up(request.citizen.subject, request.floor(&app), at_least).await?;
        request.respond(&app, &answer)
    }))
}

/// The fields of `If-None-Match` as one, which nearly every request has.
fn tags(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut fields = headers.get_all(IF_NONE_MATCH).iter();
    let first = fields.next()?;
    if fields.next().is_none() {
        return Some(first.clone());
    }
    let fields: Vec<_> = headers.get_all(IF_NONE_MATCH).iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&fields.join(&b", "[..])).ok()
}

/// A request for a display with a valid session, within its limit.
struct DisplayRequest {
    citizen: Citizen,
    now: Time,
    /// Of the citizen's limit.
    remaining: Remaining,
    /// `If-None-Match`.
    tags: Option<HeaderValue>,
    /// `Yima-At-Least-As-Fresh`.
    at_least: Option<Box<Freshness>>,
}

impl DisplayRequest {
    fn admit(app: &App, headers: &HeaderMap) -> Result<Self, ProblemResponse> {
        let now = (app.clock)();
        let citizen = app.citizen(headers, now)?;
        let subject = citizen.subject;
        let remaining = app.limits.display.take(subject.fingerprint(), 1)?;
        let at_least = app.at_least_of(subject, headers)?;
        Ok(Self { citizen, now, remaining, tags: tags(headers), at_least })
    }

    /// The version that the client's tag proves it was shown.
    fn floor(&self, app: &App) -> Version {
        app.tags.version(self.citizen.subject, &self.tags).unwrap_or(Version::ABSENT)
    }

    /// The answer that memory has, if it is not below the client's floor; records the hit. A client with a freshness
    /// token may have to wait.
    fn answer_from_memory(&self, app: &App) -> Option<Answer> {
        if self.at_least.is_some() {
            return None;
        }
        let answer = app.views.peek(self.citizen.subject, Version::ABSENT, self.now)?;
        // The client's tag is opened only if it is not the entry's own: most requests poll an unchanged display.
        let is_current =
            |tags: &HeaderValue| *tags == rendered(app, self.citizen.subject, &answer.entry, self.now).etag;
        let may_serve = self.tags.as_ref().is_none_or(is_current) || self.floor(app) <= answer.entry.version();
        may_serve.then(|| app.views.record_hit(self.citizen.subject, answer, self.now))
    }

    fn respond(&self, app: &App, answer: &Answer) -> DisplayResult {
        self.citizen.check(answer)?;
        let display = rendered(app, self.citizen.subject, &answer.entry, self.now);
        let mut response = Response::default();
        let headers = response.headers_mut();
        headers.reserve(12);
        headers.insert(ETAG, display.etag.clone());
        headers.insert(YIMA_REFRESH_AFTER, small_number(refresh_after(app)));
        app.as_of.describe(&app.views, answer, self.now, headers);
        if self.tags.as_ref().is_some_and(|tags| names(tags, &display.etag)) {
            // As short as possible, since most requests get a 304 (RFC 9110 section 15.4.5).
            headers.insert(CACHE_STATUS, brief_cache_status(answer));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            // Left out for nearly all requests: two of thirteen fields that server and client have to write and read.
            if app.limits.display.is_low(self.remaining) {
                app.limits.display.describe(self.remaining, headers);
            }
            *response.body_mut() = Body::from(display.body.clone());
        }
        Ok(response)
    }
}

/// The entry's display for `now`, rendered at most once per segment.
pub(super) fn rendered(app: &App, subject: SubjectId, entry: &Entry, now: Time) -> Arc<Display> {
    entry.display(now, |view| render(app, subject, entry.version(), view, now))
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

/// Largest factor by which a busy node stretches `Yima-Refresh-After`.
const MAX_STRETCH: f32 = 30.0;

fn refresh_after(app: &App) -> u32 {
    stretched(app.refresh_after_s, app.utilization.busy(), rand::random(), rand::random())
}

/// `seconds`, stretched from half utilization on in proportion to the wait for a busy server: 1 / (1 - utilization). Up
/// to a quarter is added, so that pages which were opened together do not poll together; a fraction of a second is the
/// probability of rounding up. `spread` and `rounding` are random numbers from 0 to 1.
fn stretched(seconds: u32, utilization: f32, spread: f32, rounding: f32) -> u32 {
    let stretch = (0.5 / (1.0 - utilization)).clamp(1.0, MAX_STRETCH);
    (seconds.max(1) as f32 * stretch * (1.0 + spread / 4.0) + rounding) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busier_node_asks_for_rarer_polls() {
        for (seconds, utilization, spread, rounding, expected) in [
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
            assert_eq!(stretched(seconds, utilization, spread, rounding), expected, "{seconds} s at {utilization}");
        }
    }
}
