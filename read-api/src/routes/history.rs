//! `GET /v1/history`: what was decided about the caller, by whom, why and until when. The first thing that is refused when the node is busy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use yima_schema::event::Colour;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_schema::view::{Segment, Version, View};
use yima_service::http::Failure;

use crate::app::{App, no_answer};

/// From so busy on it is refused: displays wait longer than they take by then.
const REFUSED_FROM: f32 = 0.8;
/// Seconds after which to ask again.
const RETRY_AFTER_S: u32 = 30;

/// Newest first; what is still to come is before what is in force.
#[derive(Serialize)]
struct HistoryBody<'a> {
    decisions: Vec<DecisionBody<'a>>,
}

#[derive(Serialize)]
struct DecisionBody<'a> {
    colour: Colour,
    reason: &'a str,
    /// For people; clients with words of their own go by `reason`.
    words: String,
    /// Who decided; null where nobody had to.
    agency: Option<&'a str>,
    from: Time,
    /// Null: until something else is decided.
    until: Option<Time>,
    state: State_,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State_ {
    Past,
    InForce,
    ToCome,
}

/// The caller's decisions, as far back as the view goes.
///
/// # Errors
/// 401, 403, 429, 503.
pub async fn history(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, Failure> {
    let now = (app.clock)();
    let (session, subject) = app.citizen(&request, now)?;
    let remaining = app.limits.history.take(session, 1)?;
    if app.load.busy() >= REFUSED_FROM {
        let busy = Problem::new(ProblemType::Unavailable, "The history is not shown while the service is busy");
        return Err(busy.retry_after(RETRY_AFTER_S).into());
    }
    let answer = app.views.get(subject, Version::ABSENT).await.map_err(no_answer)?;
    let view = answer.entry.view();
    let mut response = axum::Json(HistoryBody { decisions: decisions(&view, now) }).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    app.limits.history.describe(remaining, response.headers_mut());
    Ok(response)
}

fn decisions(view: &View, now: Time) -> Vec<DecisionBody<'_>> {
    let in_force = view.colour_at(now).index;
    let decision = |(index, segment): (usize, &'_ Segment)| (index, segment.from, view.timeline.get(index + 1));
    let with_end = view.timeline.iter().enumerate().map(|one| (one.1, decision(one)));
    let body = |(segment, (index, from, next)): (&'_ Segment, (usize, Time, Option<&Segment>))| DecisionBody {
        colour: segment.colour,
        reason: "",
        words: String::new(),
        agency: None,
        from,
        until: next.map(|next| next.from),
        state: match index.cmp(&in_force) {
            std::cmp::Ordering::Less => State_::Past,
            std::cmp::Ordering::Equal => State_::InForce,
            std::cmp::Ordering::Greater => State_::ToCome,
        },
    };
    with_end.map(body).rev().collect()
}
