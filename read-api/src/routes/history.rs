//! `GET /v1/history`: the decisions about the caller, each with its agency, reason and end. Refused from level 2 on:
//! displays go first.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::event::Colour;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_service::http::ProblemResponse;

use crate::app::App;

/// Newest first: decisions still to come, the one in force, past ones.
#[derive(Serialize, ToSchema)]
struct HistoryBody<'a> {
    decisions: Vec<DecisionBody<'a>>,
}

#[derive(Serialize, ToSchema)]
struct DecisionBody<'a> {
    colour: Colour,
    reason: &'a str,
    /// English text of the reason; clients with texts of their own use `reason`.
    words: Cow<'a, str>,
    /// The agency that decided; null for a decision without one.
    agency: Option<&'a str>,
    from: Time,
    /// Null until another decision is made.
    until: Option<Time>,
    state: DecisionState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DecisionState {
    Past,
    InForce,
    ToCome,
}

/// The decisions about the caller, as far back as the view goes.
///
/// # Errors
/// 400, 401, 403, 429, 503.
#[utoipa::path(
    get,
    path = "/v1/history",
    tag = "citizen",
    security(("session" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "The display's `ETag`: no older history is sent"),
        ("Yima-At-Least-As-Fresh" = Option<String>, Header, description = "The token of an accepted event"),
    ),
    responses((status = 200, body = HistoryBody))
)]
pub async fn history(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ProblemResponse> {
    let now = (app.clock)();
    let citizen = app.citizen(&request, now)?;
    let subject = citizen.subject;
    let remaining = app.limits.history.take(subject.fingerprint(), 1)?;
    let at_least = app.at_least_of(subject, &request)?;
    let answer = app.look_up(subject, app.floor(subject, &request), at_least).await?;
    citizen.check(&answer)?;
    let view = answer.entry.view();
    let mut response = axum::Json(HistoryBody { decisions: decisions(&view, now) }).into_response();
    app.as_of.describe(&app.views, &answer, now, response.headers_mut());
    app.limits.history.describe(remaining, response.headers_mut());
    Ok(response)
}

fn decisions(view: &View, now: Time) -> Vec<DecisionBody<'_>> {
    let in_force = view.colour_at(now).index;
    let mut decisions = Vec::with_capacity(view.timeline.len());
    for (index, segment) in view.timeline.iter().enumerate().rev() {
        decisions.push(DecisionBody {
            colour: segment.colour,
            reason: &segment.reason,
            words: english(&segment.reason),
            agency: segment.agency.as_deref(),
            from: segment.from,
            until: view.timeline.get(index + 1).map(|next| next.from),
            state: match index.cmp(&in_force) {
                Ordering::Less => DecisionState::Past,
                Ordering::Equal => DecisionState::InForce,
                Ordering::Greater => DecisionState::ToCome,
            },
        });
    }
    decisions
}

/// English text of the built-in reasons; a region's own reason is shown with spaces.
fn english(reason: &str) -> Cow<'_, str> {
    Cow::Borrowed(match reason {
        "no_restriction" => "No restriction",
        "positive_nucleic_acid" => "A nucleic-acid test was positive",
        "positive_antigen" => "An antigen test was positive",
        "confirmed_case" => "A confirmed case",
        "close_contact" => "Close contact of a case",
        "risk_area" => "A stay in a risk area",
        "quarantine" => "In quarantine",
        "overseas_arrival" => "Arrival from overseas",
        "test_overdue" => "A test is overdue",
        "released" => "Released from restriction",
        "deceased" => "The record is closed",
        own => return Cow::Owned(own.replace('_', " ")),
    })
}

#[cfg(test)]
mod tests {
    use yima_schema::view::Segment;

    use super::*;

    #[test]
    fn the_newest_decision_is_first_and_each_ends_where_the_next_begins() {
        let t = Time::from_secs;
        let segment = |from, colour, reason: &str, agency: Option<&str>| Segment {
            from: t(from),
            colour,
            reason: reason.into(),
            agency: agency.map(Into::into),
        };
        let timeline = vec![
            segment(0, Colour::Green, "no_restriction", None),
            segment(10, Colour::Red, "positive_nucleic_acid", Some("lab-7")),
            segment(20, Colour::Yellow, "city_rule_7", Some("cdc")),
            segment(30, Colour::Green, "no_restriction", None),
        ];
        let view = View { timeline, ..View::default() };
        let shown = |now| -> Vec<_> {
            decisions(&view, t(now)).into_iter().map(|d| (d.words.into_owned(), d.agency, d.until, d.state)).collect()
        };
        use DecisionState::{InForce, Past, ToCome};
        assert_eq!(
            shown(25),
            [
                ("No restriction".to_owned(), None, None, ToCome),
                ("city rule 7".to_owned(), Some("cdc"), Some(t(30)), InForce),
                ("A nucleic-acid test was positive".to_owned(), Some("lab-7"), Some(t(20)), Past),
                ("No restriction".to_owned(), None, Some(t(10)), Past),
            ]
        );
        assert_eq!(shown(30)[0].3, InForce);
        assert!(decisions(&View::default(), t(0)).is_empty());
    }
}
