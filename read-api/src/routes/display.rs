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
use yima_service::http::public::names;
use yima_service::http::{Answer as DirectAnswer, Fields, Handled, Known, ProblemResponse};
use yima_service::jwt;
use yima_service::rate_limit::Remaining;

use crate::app::App;
use crate::body::{Detail, DisplayBody};
use crate::cache::{Answer, Display, Entry};
use crate::headers::{YIMA_REFRESH_AFTER, brief_cache_status, cache_status, whole_seconds};
use crate::presenter::Presenter;

type DisplayResult = Result<Response, ProblemResponse>;

/// The caller's own display, or a ward's. An answer from memory is given at once; only a request that has to wait for a
/// load boxes a future.
///
/// # Errors
/// 400, 401, 403, 429, 503.
pub(crate) fn display(
    app: &Arc<App>,
    request: &HeaderMap,
) -> Either<Ready<DisplayResult>, BoxFuture<'static, DisplayResult>> {
    let (request, remaining) = match DisplayRequest::admit(app, request) {
        Ok(admitted) => admitted,
        Err(problem) => return Either::Left(ready(Err(problem))),
    };
    if let Some(answer) = request.answer_from_memory(app) {
        let answer = request.hit(app, answer);
        return Either::Left(ready(request.respond(app, &answer, remaining)));
    }
    let app = Arc::clone(app);
    Either::Right(Box::pin(async move {
        let mut request = request;
        let at_least = request.at_least.take();
        app.check_session_of_guardian(&request.presenter).await?;
        let answer = app.look_up(request.presenter.subject(), request.floor(&app), at_least).await?;
        request.respond(&app, &answer, remaining)
    }))
}

/// The same display without hyper. Only an answer from memory is given so.
pub(crate) fn answer(app: &Arc<App>, known: &Known<'_>, answer: &mut DirectAnswer) -> Handled {
    let Some(request) = DisplayRequest::of_known(app, known) else { return Handled::Left };
    let Some(found) = request.answer_from_memory(app) else { return Handled::Waits };
    request.write(app, found, answer).map_or(Handled::Left, Handled::Answered)
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

/// A request for a display with a valid session.
struct DisplayRequest {
    presenter: Presenter,
    now: Time,
    /// `If-None-Match`.
    tags: Option<HeaderValue>,
    /// `Yima-At-Least-As-Fresh`.
    at_least: Option<Box<Freshness>>,
}

impl DisplayRequest {
    /// A request within the citizen's limit, and what is left of that.
    fn admit(app: &App, headers: &HeaderMap) -> Result<(Self, Remaining), ProblemResponse> {
        let now = (app.clock)();
        let presenter = app.presenter(headers, now)?;
        let remaining = app.limits.display.take(presenter.limit_key(), 1)?;
        let at_least = app.at_least_of(presenter.subject(), headers)?;
        Ok((Self { presenter, now, tags: tags(headers), at_least }, remaining))
    }

    /// A request of the known shape, which has no `Yima-For` and no freshness token.
    fn of_known(app: &App, known: &Known<'_>) -> Option<Self> {
        let now = (app.clock)();
        let citizen = app.citizen_of(jwt::bearer_of(known.authorization)?, now).ok()?;
        let tags = known.if_none_match.map(HeaderValue::from_bytes).transpose().ok()?;
        Some(Self { presenter: Presenter { citizen, ward: None }, now, tags, at_least: None })
    }

    /// Writes what memory has, unless that is a refusal.
    fn write(&self, app: &App, found: Answer, answer: &mut DirectAnswer) -> Option<StatusCode> {
        self.presenter.check(&found, self.now).ok()?;
        // The last reason to leave it.
        let remaining = app.limits.display.check(self.presenter.limit_key(), 1).ok()?;
        let found = self.hit(app, found);
        let display = self.rendered(app, &found);
        let (status, tag) = self.status(&display);
        answer.begin(status);
        self.describe(app, &found, tag, status, remaining, answer);
        answer.end(&display.body);
        Some(status)
    }

    /// The version that the client's tag proves it was shown.
    fn floor(&self, app: &App) -> Version {
        app.tags.version(self.presenter.subject(), &self.tags).unwrap_or(Version::ABSENT)
    }

    /// The answer that memory has, if it is not below the client's floor. A client with a freshness token may have to
    /// wait, and a guardian's session counts by another view.
    fn answer_from_memory(&self, app: &App) -> Option<Answer> {
        if self.at_least.is_some() || self.presenter.ward.is_some() {
            return None;
        }
        let subject = self.presenter.subject();
        let answer = app.views.peek(subject, Version::ABSENT, self.now)?;
        // The client's tag is opened only if it is not the entry's own: most requests poll an unchanged display.
        let is_current = |tags: &HeaderValue| self.rendered(app, &answer).right_tags().any(|tag| tags == tag);
        let may_serve = self.tags.as_ref().is_none_or(is_current) || self.floor(app) <= answer.entry.version();
        may_serve.then_some(answer)
    }

    fn hit(&self, app: &App, answer: Answer) -> Answer {
        app.views.record_hit(self.presenter.subject(), answer, self.now)
    }

    fn rendered(&self, app: &App, answer: &Answer) -> Arc<Display> {
        rendered(app, self.presenter.subject(), &answer.entry, self.now)
    }

    fn respond(&self, app: &App, answer: &Answer, remaining: Remaining) -> DisplayResult {
        self.presenter.check(answer, self.now)?;
        let display = self.rendered(app, answer);
        let ((status, tag), mut response) = (self.status(&display), Response::default());
        *response.status_mut() = status;
        response.headers_mut().reserve(12);
        self.describe(app, answer, tag, status, remaining, response.headers_mut());
        if status != StatusCode::NOT_MODIFIED {
            *response.body_mut() = Body::from(display.body.clone());
        }
        Ok(response)
    }

    /// The status and tag of the answer: 304 if what the client shows is right, also if it has more fields than the
    /// level in force allows.
    fn status<'d>(&self, display: &'d Display) -> (StatusCode, &'d HeaderValue) {
        let shown = |tags| display.right_tags().find(|tag| names(tags, tag));
        match self.tags.as_ref().and_then(shown) {
            Some(tag) => (StatusCode::NOT_MODIFIED, tag),
            None => (StatusCode::OK, &display.etag),
        }
    }

    /// The fields of an answer with this status.
    fn describe(
        &self,
        app: &App,
        answer: &Answer,
        tag: &HeaderValue,
        status: StatusCode,
        remaining: Remaining,
        fields: &mut impl Fields,
    ) {
        fields.insert(ETAG, tag.clone());
        let refresh_after = app.pace.refresh_after(app.utilization.busy(), app.levels.in_force());
        fields.insert(YIMA_REFRESH_AFTER, whole_seconds(refresh_after));
        app.as_of.describe_age(&app.views, answer, self.now, fields);
        if status == StatusCode::NOT_MODIFIED {
            // As short as possible, since most requests get a 304 (RFC 9110 section 15.4.5).
            fields.insert(CACHE_STATUS, brief_cache_status(answer));
            return;
        }
        fields.insert(CACHE_STATUS, cache_status(answer));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Left out for nearly all requests: two of thirteen fields that server and client have to write and read.
        if app.limits.display.is_low(remaining) {
            app.limits.display.describe(remaining, fields);
        }
    }
}

/// The entry's display for `now` with the fields of the level in force, rendered at most once per segment and detail.
pub(super) fn rendered(app: &App, subject: SubjectId, entry: &Entry, now: Time) -> Arc<Display> {
    let detail = app.levels.in_force().into();
    entry.display(now, detail, |view| render(app, subject, entry.version(), view, now, detail))
}

fn render(app: &App, subject: SubjectId, version: Version, view: &View, now: Time, detail: Detail) -> Display {
    let at = view.colour_at(now);
    let body = DisplayBody::new(version.0, view, &at, detail);
    let body = serde_json::to_vec(&body).expect("a display body always encodes");
    let tag = |detail| app.tags.tag(subject, version, at.index, detail);
    Display {
        from: at.segment.filter(|_| at.index > 0).map_or(Time::MIN, |s| s.from),
        until: at.next_transition_at.unwrap_or(Time::MAX),
        detail,
        body: body.into(),
        etag: tag(detail),
        fuller: detail.fuller().map(tag).collect(),
    }
}
