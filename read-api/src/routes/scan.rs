//! `POST /v1/scan`: checks a code, or somebody without one by their identity document, against the live view. Whatever the code is, a
//! well-formed request gets a verdict.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::code::{self, CodeError, Handle};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::session::Holder;
use yima_schema::subject::{Document, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::{ProblemResponse, body};
use yima_service::rate_limit::Remaining;

use super::scan_request::{Asked, ScanRequest};
use crate::app::{App, no_answer};
use crate::body::{ColourBody, IdentityBody, Parts, TestBody, VaccinationBody};
use crate::cache::Answer;
use crate::verdict::{Reason, Verdict, hours, judge};

/// Largest body, in bytes: a code has a few hundred characters.
const MAX_BODY: usize = 16_384;
/// For the body to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How far the clocks of two read nodes may differ.
const NODE_CLOCK_SKEW: Duration = Duration::from_secs(30);

/// The answer; what is not known is null.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanBody<'a> {
    verdict: Verdict,
    reason: Reason,
    instruction: &'static str,
    identity: Option<IdentityBody<'a>>,
    colour: Option<ColourBody<'a>>,
    tests: Vec<TestBody<'a>>,
    vaccination: Option<VaccinationBody>,
    as_of: Option<Time>,
}

/// Who scans.
pub(super) struct Checkpoint {
    /// The unit of its rate limits.
    pub name: String,
    require_test_within_h: Option<u16>,
    looks_up_documents: bool,
}

/// A verdict.
///
/// # Errors
/// 400, 401, 403, 408, 413, 415, 429, 503.
#[utoipa::path(
    post,
    path = "/v1/scan",
    tag = "checkpoint",
    security(("session" = [])),
    request_body(content = ScanRequest, example = json!({"code": "YM1:6BF5V0"})),
    responses((status = 200, body = ScanBody))
)]
pub async fn scan(State(app): State<Arc<App>>, request: Request) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let checkpoint = Checkpoint::of(&app, request.headers(), now)?;
    let limit = &app.limits.scan;
    let remaining = limit.take(limit.key(&checkpoint.name), 1)?;
    let asks_past_the_cache = asks_past_the_cache(request.headers());
    body::content_type(request.headers(), &["application/json"])?;
    let bytes = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    let asked = body::object::<ScanRequest>(&bytes)?.asked()?;
    let without_code = matches!(asked, Asked::Document(_));
    let opened = match asked {
        Asked::Code(code) => open(&app, &code, now).map(|handle| (handle.subject, shown(&app, &handle))),
        // No phone has been shown anything.
        Asked::Document(document) => Ok((checkpoint.look_up(&app, &document)?, Version::ABSENT)),
    };

    let mut response = match opened {
        Err(reason) => axum::Json(ScanBody::refusal(reason)).into_response(),
        Ok((subject, shown)) => {
            let bypass = &app.limits.bypass;
            let reloads = asks_past_the_cache.then(|| bypass.take(bypass.key(&checkpoint.name), 1).ok());
            let answer = match reloads.flatten() {
                Some(_) => app.views.bypass(subject, shown).await,
                None => app.views.get(subject, shown).await,
            };
            let answer = answer.map_err(no_answer)?;
            let view = answer.entry.view();
            let mut verdict = checkpoint.judge(&answer, &view, now);
            if without_code && verdict.reason == Reason::Nobody {
                verdict = ScanBody { as_of: verdict.as_of, ..ScanBody::refusal(Reason::NotRegistered) };
            }
            let mut response = axum::Json(verdict).into_response();
            app.as_of.describe(&app.views, &answer, now, response.headers_mut());
            if let Some(left) = reloads {
                bypass.describe(left.unwrap_or(Remaining(0)), response.headers_mut());
            }
            response
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    limit.describe(remaining, response.headers_mut());
    Ok(response)
}

impl Checkpoint {
    /// The caller, if it is one.
    ///
    /// # Errors
    /// 401, 403.
    pub fn of(app: &App, headers: &HeaderMap, now: Time) -> Result<Self, Problem> {
        match app.session(headers, now)?.holder {
            Holder::Checkpoint { checkpoint: name, require_test_within_h, looks_up_documents } => {
                Ok(Self { name, require_test_within_h, looks_up_documents })
            }
            Holder::Citizen { .. } => Err(Problem::new(ProblemType::Forbidden, "Only a checkpoint's session can scan")),
        }
    }

    /// The holder of an identity document, if it may look people up by it; each is counted.
    fn look_up(&self, app: &App, document: &Document) -> Result<SubjectId, ProblemResponse> {
        let count = |outcome: &'static str| {
            metrics::counter!("scan_documents_total", "outcome" => outcome).increment(1);
        };
        if !self.looks_up_documents {
            count("forbidden");
            let detail = "Looking people up by their document needs the scope `scan:document`";
            return Err(Problem::new(ProblemType::Forbidden, detail).into());
        }
        let limit = &app.limits.document;
        limit.take(limit.key(&self.name), 1).inspect_err(|_| count("refused"))?;
        count("asked");
        Ok(app.pseudonyms.subject(document))
    }

    /// Its verdict on the person whose `view` the answer holds.
    pub fn judge<'a>(&self, answer: &Answer, view: &'a View, now: Time) -> ScanBody<'a> {
        let at = view.colour_at(now);
        let reason = judge(view, &at, answer.fresh, self.require_test_within_h.map(hours), now);
        let parts = Parts::new(view, &at);
        ScanBody {
            identity: Some(parts.identity),
            colour: Some(parts.colour),
            tests: parts.tests,
            vaccination: Some(parts.vaccination),
            as_of: Some(answer.as_of),
            ..ScanBody::refusal(reason)
        }
    }
}

impl ScanBody<'_> {
    /// Nothing about anyone: an old or foreign code opens no one's data.
    pub fn refusal(reason: Reason) -> Self {
        Self {
            verdict: reason.verdict(),
            reason,
            instruction: reason.instruction(),
            identity: None,
            colour: None,
            tests: Vec::new(),
            vaccination: None,
            as_of: None,
        }
    }
}

/// Whether the answer is to be what the store has now, not what is held here (RFC 9111 sections 5.2.1.4 and 5.2.1.5).
fn asks_past_the_cache(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(',')).map(str::trim);
    directives.any(|one| one.eq_ignore_ascii_case("no-cache") || one.eq_ignore_ascii_case("no-store"))
}

/// The version that the phone of a code was shown. Those of another region's views cannot be compared with ours.
pub(super) fn shown(app: &App, handle: &Handle) -> Version {
    if handle.region == app.region { handle.version } else { Version::ABSENT }
}

/// The handle of a code that is genuine and current.
pub(super) fn open(app: &App, code: &str, now: Time) -> Result<Handle, Reason> {
    let claims = code::open(code, &app.issuers).map_err(|fault| match fault {
        CodeError::Malformed => Reason::Malformed,
        CodeError::UnknownIssuer => Reason::UnknownIssuer,
        CodeError::Forged => Reason::Forged,
    })?;
    if now >= claims.expires_at {
        return Err(Reason::Expired);
    }
    if claims.issued_at > now.plus(NODE_CLOCK_SKEW) {
        return Err(Reason::NotYetValid);
    }
    Handle::open(&claims.handle, &app.handles).ok_or(Reason::UnknownIssuer)
}
