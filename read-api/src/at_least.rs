//! `Yima-At-Least-As-Fresh`: a client that holds the token of an accepted event demands an answer with that event.

use axum::http::{HeaderMap, HeaderName};
use yima_schema::freshness::Freshness;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use crate::app::{App, lookup_problem};
use crate::cache::Answer;

/// The token of an accepted event.
const YIMA_AT_LEAST_AS_FRESH: HeaderName = HeaderName::from_static("yima-at-least-as-fresh");

impl App {
    /// The token in the request; `None` without one. Boxed, since nearly no request has one.
    ///
    /// # Errors
    /// 400: not one genuine token.
    pub(crate) fn at_least(&self, headers: &HeaderMap) -> Result<Option<Box<Freshness>>, Problem> {
        let Some(value) = headers.get(YIMA_AT_LEAST_AS_FRESH) else { return Ok(None) };
        let token = Freshness::open(value.as_bytes(), &self.freshness).map(Box::new);
        match token.filter(|_| headers.get_all(YIMA_AT_LEAST_AS_FRESH).iter().nth(1).is_none()) {
            Some(token) => Ok(Some(token)),
            None => Err(expected("one token, as the answer to an accepted event had it")),
        }
    }

    /// The same for a request about one subject.
    ///
    /// # Errors
    /// 400: not one genuine token, or the token of another subject's event.
    pub(crate) fn at_least_of(
        &self,
        subject: SubjectId,
        headers: &HeaderMap,
    ) -> Result<Option<Box<Freshness>>, Problem> {
        let token = self.at_least(headers)?;
        token.map(|token| about(subject, token)).transpose()
    }

    /// Looks a subject up: at least the version `floor`, and as fresh as its token demands.
    ///
    /// # Errors
    /// 503 and 500 as [`lookup_problem`] has them.
    pub(crate) async fn look_up(
        &self,
        subject: SubjectId,
        floor: Version,
        token: Option<Box<Freshness>>,
    ) -> Result<Answer, Problem> {
        let answer = match token {
            Some(token) => self.views.get_at_least(&token, &self.region, floor, false).await,
            None => self.views.get(subject, floor).await,
        };
        answer.map_err(lookup_problem)
    }
}

/// The token, if it is of that subject.
///
/// # Errors
/// 400.
pub(crate) fn about(subject: SubjectId, token: Box<Freshness>) -> Result<Box<Freshness>, Problem> {
    if token.subject == subject { Ok(token) } else { Err(expected("the token of an event about the same person")) }
}

/// Refuses a token where no answer is about one subject.
///
/// # Errors
/// 400.
pub(crate) fn refuse(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(YIMA_AT_LEAST_AS_FRESH) {
        Some(_) => Err(expected("none for many codes; scan this person's code alone")),
        None => Ok(()),
    }
}

fn expected(what: &str) -> Problem {
    Problem::new(ProblemType::Invalid, format!("Yima-At-Least-As-Fresh: expected {what}"))
}
