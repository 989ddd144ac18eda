//! `GET /v1/display/events`: a live display. Server-sent events send a phone each change of its display at once, and
//! from time to time the `as_of` of an unchanged one. A busy node opens none, and at level 1 ends those that are open,
//! since a page can poll instead.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream;
use tokio::time::Instant;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::http::ProblemResponse;
use yima_service::levels::Level;

use super::display::rendered;
use crate::app::{App, lookup_problem};
use crate::cache::{Answer, Display, SubscribeError, Subscription};
use crate::presenter::{Presenter, YIMA_FOR};

/// After this, and up to twice as long, a client that was refused or ended by a busy node may return. It polls
/// meanwhile.
const RETURN_AFTER_S: u32 = 120;
/// After this, and up to three times as long, a client reopens a live display that has reached its age: each on its
/// own. After one that broke, or ended with its node, it waits up to `Pace::spread` longer than this, since all others
/// of the node come too.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Longest time between two events; clients count on it.
const MAX_REPORT_EVERY: Duration = Duration::from_secs(60);
/// The id of the last event that a client received (HTML, section 9.2.4): the tag of the display that it shows.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Makes nginx, and proxies that follow its example, pass on each event at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Server-sent events: `display` when the caller's display has changed (`{"as_of", "display"}`, `id` is its tag),
/// otherwise `unchanged` from time to time (`{"as_of"}`). Both have `silent_regions` where a display has
/// `Yima-Silent-Regions`. A busy service ends it; poll the display then.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/display/events",
    operation_id = "display_events",
    tag = "citizen",
    security(("session" = [])),
    params(
        (
            "Last-Event-ID" = Option<String>, Header,
            description = "The `ETag` of the display that is shown, or the `id` of the last event"
        ),
        ("Yima-For" = Option<String>, Header, description = "The `ward` whose code it is; without it the own"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream"))
)]
pub async fn live_display(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let presenter = app.presenter(&request, now)?;
    let (subject, expires_at) = (presenter.subject(), presenter.citizen.session.expires_at);
    let remaining = app.limits.live_display.take(presenter.limit_key(), 1)?;
    let at_least = app.at_least_of(subject, &request)?;
    let config = &app.live_displays;
    if app.utilization.busy() >= config.max_busy {
        return Err(refused(Refusal::Busy).into());
    }
    let credentials = [AUTHORIZATION, YIMA_FOR].into_iter();
    let credentials = credentials.filter_map(|name| request.get(&name).map(|value| (name, value.clone()))).collect();
    let subscription = app.views.subscribe(subject, config.max_open, config.max_per_person).map_err(|error| {
        refused(match error {
            SubscribeError::Full => Refusal::Full,
            SubscribeError::SubjectFull => Refusal::Person,
        })
    })?;
    let shown = request.get(LAST_EVENT_ID).cloned();
    let mut floor = app.tags.version(subject, &shown).unwrap_or(Version::ABSENT);
    if at_least.is_some() {
        floor = app.look_up(subject, floor, at_least).await?.entry.version();
    }
    let opened_at = Instant::now();
    let mut live = LiveDisplay {
        credentials,
        presenter,
        subscription,
        shown,
        floor,
        valid_until: Time::MAX,
        report_at: opened_at,
        ends_at: opened_at + up_to_a_quarter_earlier(config.max_age).min(expires_at.since(now)),
        has_ended: false,
        app: Arc::clone(&app),
    };
    // A display that cannot be looked up is a problem, not an empty live display.
    let first = live.look_up().await?;
    let first = first.retry(REOPEN_AFTER + app.pace.spread().mul_f32(rand::random()));
    let rest = stream::unfold(live, |mut live| async { live.next().await.map(|event| (event, live)) });
    let events = stream::once(std::future::ready(first)).chain(rest).map(Ok::<_, Infallible>);
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    app.limits.live_display.describe(remaining, headers);
    Ok(response)
}

/// Why a live display is refused.
#[derive(Clone, Copy)]
enum Refusal {
    Busy,
    Full,
    Person,
}

/// Exports each counter of refusals as 0, so that a rate shows the first refusal too.
pub(super) fn register_metrics() {
    for reason in [Refusal::Busy, Refusal::Full, Refusal::Person] {
        reason.counter().increment(0);
    }
}

impl Refusal {
    fn counter(self) -> metrics::Counter {
        let reason = match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Person => "person",
        };
        metrics::counter!("live_displays_refused_total", "reason" => reason)
    }
}

fn refused(reason: Refusal) -> Problem {
    reason.counter().increment(1);
    let problem = match reason {
        Refusal::Busy => Problem::new(
            ProblemType::Unavailable,
            "The service is too busy for live displays; poll the display instead",
        ),
        Refusal::Full => {
            Problem::new(ProblemType::Unavailable, "Too many live displays are open; poll the display instead")
        }
        Refusal::Person => Problem::new(
            ProblemType::TooManyRequests,
            "Too many live displays of this person are open; close one, or poll the display instead",
        ),
    };
    problem.retry_after(return_after_s())
}

/// At random, so that what begins together does not end together.
fn up_to_a_quarter_earlier(time: Duration) -> Duration {
    time.mul_f32(1.0 - rand::random::<f32>() / 4.0)
}

/// With jitter, so that clients which were refused together do not return together.
fn return_after_s() -> u32 {
    RETURN_AFTER_S + rand::random_range(0..=RETURN_AFTER_S)
}

/// An open live display.
struct LiveDisplay {
    app: Arc<App>,
    /// The request's `Authorization`, and `Yima-For`.
    credentials: HeaderMap,
    subscription: Subscription,
    presenter: Presenter,
    /// The tag of the display that the client shows.
    shown: Option<HeaderValue>,
    /// The version of that display; no older one is sent.
    floor: Version,
    /// When the timeline moves on to another segment, or a guardianship is over.
    valid_until: Time,
    report_at: Instant,
    ends_at: Instant,
    /// The last event was sent.
    has_ended: bool,
}

impl LiveDisplay {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.has_ended {
                return None;
            }
            self.wait().await;
            // The first event said when to come back.
            if self.subscription.is_closed() {
                return None;
            }
            if self.ends_at <= Instant::now() {
                return Some(self.last(REOPEN_AFTER.mul_f32(1.0 + 2.0 * rand::random::<f32>())));
            }
            let is_due = self.report_at <= Instant::now();
            if is_due && self.app.levels.in_force().leaves_out(Level::LiveDisplays) {
                // The page polls its display meanwhile, as often as `Yima-Refresh-After` allows.
                return Some(self.last(Duration::from_secs(return_after_s().into())));
            }
            // The session's key may have been revoked since.
            self.app.presenter(&self.credentials, (self.app.clock)()).ok()?;
            let before = self.shown.clone();
            // Without an answer the live display ends; the page then polls its display and gets the problem.
            let event = self.look_up().await.ok()?;
            if is_due || self.shown != before {
                return Some(event);
            }
        }
    }

    /// The last event: when to open another live display.
    fn last(&mut self, reopen_after: Duration) -> Event {
        self.has_ended = true;
        Event::default().retry(reopen_after)
    }

    /// Waits for a change, the next segment, the next report or the end. A change that comes with a crowd of others is
    /// held back, but until one of these at most.
    async fn wait(&self) {
        let until_next_segment = self.valid_until.since((self.app.clock)());
        let deadline = self.report_at.min(self.ends_at);
        let deadline = deadline.min(Instant::now() + until_next_segment.min(MAX_REPORT_EVERY));
        if tokio::time::timeout_at(deadline, self.subscription.changed()).await.is_err() {
            return;
        }
        let held_back = self.app.pace.hold_back(self.app.views.open_subscriptions());
        let deadline = deadline.min(Instant::now() + held_back);
        // Whatever changes meanwhile is in the same event.
        while !self.subscription.is_closed()
            && tokio::time::timeout_at(deadline, self.subscription.changed()).await.is_ok()
        {}
    }

    /// Looks the display up as a request for it would, and makes the event.
    async fn look_up(&mut self) -> Result<Event, Problem> {
        let now = (self.app.clock)();
        let (views, subject) = (&self.app.views, self.presenter.subject());
        if self.presenter.ward.is_some() {
            Box::pin(self.app.check_session_of_guardian(&self.presenter)).await?;
        }
        let answer = match views.peek(subject, self.floor, now) {
            Some(answer) => views.record_hit(subject, answer, now),
            // Boxed: a large future that is rarely needed.
            None => Box::pin(views.get(subject, self.floor)).await.map_err(lookup_problem)?,
        };
        let now = (self.app.clock)();
        self.presenter.check(&answer, now)?;
        let display = rendered(&self.app, subject, &answer.entry, now);
        (self.floor, self.valid_until) = (answer.entry.version(), display.until);
        if self.presenter.ward.is_some() {
            let until = self.presenter.guardianship(&answer.entry.view(), now)?.and_then(|guardian| guardian.until);
            self.valid_until = self.valid_until.min(until.unwrap_or(Time::MAX));
        }
        let every = self.app.live_displays.report_every.clamp(Duration::from_millis(100), MAX_REPORT_EVERY);
        self.report_at = Instant::now() + up_to_a_quarter_earlier(every);
        let moment = moment(&answer, &self.app.views.silent_regions(now));
        if self.shown.as_ref().is_some_and(|shown| display.right_tags().any(|tag| tag == shown)) {
            return Ok(Event::default().event("unchanged").data(format!("{{{moment}}}")));
        }
        self.shown = Some(display.etag.clone());
        Ok(display_event(&moment, &display))
    }
}

/// The members of an event's data that say of what moment it is true, without braces.
fn moment(answer: &Answer, silent_regions: &[String]) -> String {
    let as_of = format!(r#""as_of":"{}""#, answer.as_of);
    // Names of regions need no escapes.
    if silent_regions.is_empty() { as_of } else { format!(r#"{as_of},"silent_regions":{silent_regions:?}"#) }
}

fn display_event(moment: &str, display: &Display) -> Event {
    let tag = display.etag.to_str().expect("a tag is visible ASCII");
    // JSON as serde writes it: one line.
    let body = std::str::from_utf8(&display.body).expect("JSON is UTF-8");
    let data = format!(r#"{{{moment},"display":{body}}}"#);
    Event::default().event("display").id(tag).data(data)
}
