//! Who shows a code: a citizen their own, or, with `Yima-For`, a guardian a ward's.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use yima_schema::guardianships::Guardian;
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::ProblemResponse;
use yima_service::jwt;

use crate::app::{App, Citizen};
use crate::cache::Answer;

/// The handle of the ward whose code a request is about.
pub(crate) const YIMA_FOR: HeaderName = HeaderName::from_static("yima-for");

/// A citizen with a genuine session, and whose code they want to show. Whether they may says the view.
pub(crate) struct Presenter {
    pub citizen: Citizen,
    /// `None`: their own.
    pub ward: Option<SubjectId>,
}

impl App {
    /// The citizen in `Authorization`, with the ward in `Yima-For`.
    ///
    /// # Errors
    /// 400 for what is no handle, 401, 403.
    pub(crate) fn presenter(&self, headers: &HeaderMap, now: Time) -> Result<Presenter, ProblemResponse> {
        let citizen = self.citizen_of(jwt::bearer(headers)?, now)?;
        let mut handles = headers.get_all(YIMA_FOR).iter();
        let Some(handle) = handles.next() else { return Ok(Presenter { citizen, ward: None }) };
        let handle = handle.to_str().ok().and_then(|text| self.guardianships.open_handle(text));
        let Some(handle) = handle.filter(|_| handles.next().is_none()) else {
            let detail = "Yima-For: expected one `ward` as /v1/wards lists it, and nothing for the own code";
            return Err(Problem::new(ProblemType::Invalid, detail).into());
        };
        if handle.guardian != citizen.subject {
            return Err(not_a_guardian().into());
        }
        Ok(Presenter { citizen, ward: Some(handle.ward) })
    }

    /// The view of whom the presenter shows: no older than the request proves or demands.
    ///
    /// # Errors
    /// 400, 401 for a session that was ended, 403 for who is not the guardian, 500, 503.
    pub(crate) async fn look_up_shown(&self, presenter: &Presenter, headers: &HeaderMap) -> Result<Answer, Problem> {
        let at_least = self.at_least_of(presenter.subject(), headers)?;
        self.check_session_of_guardian(presenter).await?;
        let subject = presenter.subject();
        let answer = self.look_up(subject, self.floor(subject, headers), at_least).await?;
        presenter.check(&answer, (self.clock)())?;
        Ok(answer)
    }

    /// A guardian's session counts by the guardian's own view, a ward's by none.
    ///
    /// # Errors
    /// 401: it was ended. 500, 503.
    pub(crate) async fn check_session_of_guardian(&self, presenter: &Presenter) -> Result<(), Problem> {
        if presenter.ward.is_some() {
            let citizen = &presenter.citizen;
            citizen.check(&self.look_up(citizen.subject, Version::ABSENT, None).await?)?;
        }
        Ok(())
    }
}

impl Presenter {
    /// Whose code it is.
    pub fn subject(&self) -> SubjectId {
        self.ward.unwrap_or(self.citizen.subject)
    }

    /// The key of the limits: what a guardian does counts as the guardian's.
    pub fn limit_key(&self) -> u64 {
        self.citizen.subject.fingerprint()
    }

    /// Whether the code may be shown, by the view of whom it is of. The session of a guardian is checked apart:
    /// [`App::check_session_of_guardian`].
    ///
    /// # Errors
    /// 401: the session was ended. 403: not the guardian, or not any more.
    pub fn check(&self, answer: &Answer, now: Time) -> Result<(), Problem> {
        match self.ward {
            None => self.citizen.check(answer),
            Some(_) => self.guardianship(&answer.entry.view(), now).map(drop),
        }
    }

    /// The guardianship by which a ward's code may be shown; `None` for the own code.
    ///
    /// # Errors
    /// 403: it is not in force.
    pub fn guardianship<'v>(&self, view: &'v View, now: Time) -> Result<Option<&'v Guardian>, Problem> {
        let Some(_) = self.ward else { return Ok(None) };
        let found = view.guardianships.guardian(self.citizen.subject, now);
        found.map(Some).ok_or_else(not_a_guardian)
    }

    /// How long a code may last that could last so long: not beyond the guardianship.
    ///
    /// # Errors
    /// 403: that is not in force.
    pub fn lifetime(&self, view: &View, longest: Duration, now: Time) -> Result<Duration, Problem> {
        let until = self.guardianship(view, now)?.and_then(|guardian| guardian.until);
        Ok(until.map_or(longest, |until| longest.min(until.since(now))))
    }
}

/// The problem of who is not the guardian of a person, or not any more.
pub(crate) fn not_a_guardian() -> Problem {
    let detail = "You are not this person's guardian, or not any more: their code cannot be shown here";
    Problem::new(ProblemType::NotAGuardian, detail)
}
