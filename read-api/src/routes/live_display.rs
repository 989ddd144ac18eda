//! `GET /v1/display/events`: tells a phone at once that its display is another, and from time to time of which moment it is still true, as
//! server-sent events. A comfort: the first thing that is refused and ended when the node is busy, since a page can ask instead.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream;
use tokio::time::Instant;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::http::ProblemResponse;

use super::display::show;
use crate::app::{App, Citizen, no_answer};
use crate::cache::entry::Display;
use crate::cache::{Answer, LookupError, SubscribeError, Subscription};

/// So much above the share from which no stream is opened, those that are open end, each when it would report.
const ENDED_ABOVE: f32 = 0.1;
/// After this, and up to twice as long, whoever was refused or sent away may come again.
const COME_AGAIN_S: u32 = 30;
/// After this, and up to three times as long, a stream that ended otherwise is opened again.
const RETRY: Duration = Duration::from_secs(1);
/// The id of the last event that a client has seen (HTML, section 9.2.4): the tag of the display that it shows.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx, and those that do as it does, to pass on each event when it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Server-sent events: `display` when the caller's display is another (`{"as_of", "display"}`, `id` is its tag), else `unchanged` from time to
/// time (`{"as_of"}`). Ended when the service is busy: then ask for the display.
///
/// # Errors
/// 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/display/events",
    operation_id = "display_events",
    tag = "citizen",
    security(("session" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The `ETag` of what is shown, or the `id` of the last event")),
    responses((status = 200, body = String, content_type = "text/event-stream"))
)]
pub async fn stream(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let Citizen { session, expires_at, subject } = app.citizen(&request, now)?;
    let remaining = app.limits.live_display.take(session, 1)?;
    let config = &app.config.live_displays;
    if app.load.busy() >= config.max_busy {
        return Err(refused(Reason::Busy).into());
    }
    let watcher = app.views.watch(subject, config.max_open, config.max_per_person).map_err(|no_place| {
        refused(match no_place {
            SubscribeError::Full => Reason::Full,
            SubscribeError::Person => Reason::Person,
        })
    })?;
    let shown = request.get(LAST_EVENT_ID).cloned();
    let version = shown.as_ref().and_then(|tag| app.tags.version(subject, tag)).unwrap_or(Version::ABSENT);
    let begun = Instant::now();
    let mut open = Open {
        subject,
        watcher,
        shown,
        version,
        until: Time::MAX,
        report_at: begun,
        ends_at: begun + config.max_age.min(expires_at.since(now)),
        app: Arc::clone(&app),
    };
    // Who cannot be answered is told so before a stream begins.
    let first = open.look().await.map_err(no_answer)?.retry(RETRY.mul_f32(1.0 + 2.0 * rand::random::<f32>()));
    let rest = stream::unfold(open, |mut open| async { open.next().await.map(|event| (event, open)) });
    let events = stream::once(std::future::ready(first)).chain(rest).map(Ok::<_, Infallible>);
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    app.limits.live_display.describe(remaining, headers);
    Ok(response)
}

/// Why a stream is not opened.
#[derive(Clone, Copy)]
enum Reason {
    Busy,
    Full,
    Person,
}

/// So that a rate can be taken of the first refusal too.
pub(super) fn count_from_zero() {
    for reason in [Reason::Busy, Reason::Full, Reason::Person] {
        reason.counter().increment(0);
    }
}

impl Reason {
    fn counter(self) -> metrics::Counter {
        let reason = match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Person => "person",
        };
        metrics::counter!("live_displays_refused_total", "reason" => reason)
    }
}

fn refused(reason: Reason) -> Problem {
    reason.counter().increment(1);
    let problem = match reason {
        Reason::Busy => Problem::new(ProblemType::Unavailable, "No stream is opened while the service is busy"),
        Reason::Full => Problem::new(ProblemType::Unavailable, "As many live_displays are open as there may be"),
        Reason::Person => {
            Problem::new(ProblemType::TooManyRequests, "This person has as many live_displays open as one may")
        }
    };
    problem.retry_after(come_again_s())
}

/// Spread, so that those who were refused together do not come back together.
fn come_again_s() -> u32 {
    COME_AGAIN_S + rand::random_range(0..=COME_AGAIN_S)
}

/// An open stream.
struct Open {
    app: Arc<App>,
    watcher: Subscription,
    subject: SubjectId,
    /// The tag of what the client shows.
    shown: Option<HeaderValue>,
    /// The version of it: nothing older is looked at.
    version: Version,
    /// When the timeline goes on to another segment.
    until: Time,
    report_at: Instant,
    ends_at: Instant,
}

impl Open {
    /// What is to be told next; `None`: the stream is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.wait().await;
            if self.watcher.is_over() || self.ends_at <= Instant::now() {
                return None;
            }
            let is_due = self.report_at <= Instant::now();
            if is_due && self.app.load.busy() >= self.app.config.live_displays.max_busy + ENDED_ABOVE {
                // The last word: the page asks for its displays meanwhile, as often as the service can bear.
                self.ends_at = Instant::now();
                return Some(Event::default().retry(Duration::from_secs(come_again_s().into())));
            }
            let before = self.shown.clone();
            // Who cannot be answered now asks for the display, and is told why.
            let event = self.look().await.ok()?;
            if is_due || self.shown != before {
                return Some(event);
            }
        }
    }

    /// Until there is something to look at.
    async fn wait(&self) {
        let until_next = self.until.since((self.app.clock)());
        let at = self.report_at.min(self.ends_at);
        let wait = at.saturating_duration_since(Instant::now()).min(until_next);
        // Either way it is time to look.
        let _ = tokio::time::timeout(wait, self.watcher.woken()).await;
    }

    /// Looks the display up as a request for it would; the event is what to tell of it.
    async fn look(&mut self) -> Result<Event, LookupError> {
        let now = (self.app.clock)();
        let views = &self.app.views;
        let answer = match views.peek(self.subject, self.version, now) {
            Some(answer) => views.record_hit(self.subject, answer, now),
            // Boxed, for it is big and rare.
            None => Box::pin(views.get(self.subject, self.version)).await?,
        };
        let now = (self.app.clock)();
        let display = show(&self.app, self.subject, &answer.entry, now);
        (self.version, self.until) = (answer.entry.held.version, display.until);
        let every = self.app.config.live_displays.report_every.max(Duration::from_millis(100));
        self.report_at = Instant::now() + every.mul_f32(1.0 + rand::random::<f32>() / 4.0);
        if self.shown.as_ref() == Some(&display.etag) {
            return Ok(Event::default().event("unchanged").data(format!(r#"{{"as_of":"{}"}}"#, answer.as_of)));
        }
        self.shown = Some(display.etag.clone());
        Ok(changed(&answer, &display))
    }
}

fn changed(answer: &Answer, display: &Display) -> Event {
    let tag = display.etag.to_str().expect("a tag is visible ASCII");
    // JSON as serde writes it: one line.
    let body = std::str::from_utf8(&display.body).expect("JSON is UTF-8");
    let data = format!(r#"{{"as_of":"{}","display":{body}}}"#, answer.as_of);
    Event::default().event("display").id(tag).data(data)
}
