//! Guardianships begun and ended by the two persons themselves. What decides is written to the ward's subject first;
//! the notice that the guardian's list is made of follows.

use std::time::Duration;

use yima_schema::event::{EventData, GuardianshipChange};
use yima_schema::guardianship_tokens::{GuardianshipHandle, Invitation};
use yima_schema::guardianships::{MAX_GUARDIANS, MAX_WARDS};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};

use crate::app::{App, Citizen, lookup_problem};
use crate::cache::Answer;

/// How long an invitation can be redeemed.
pub(crate) const INVITATION_LIFETIME: Duration = Duration::from_secs(600);

/// A person of whom one's view says something, with their own view.
pub(crate) type Person = (SubjectId, View);

/// A guardianship after an invitation was redeemed.
pub(crate) struct Redeemed {
    /// The ward's view.
    pub view: View,
    /// The token of the event; `None` if it had been written before.
    pub freshness: Option<String>,
}

impl App {
    /// The wards of a guardian, by the guardian's list and each one's own view.
    ///
    /// # Errors
    /// 500, 503.
    pub(crate) async fn wards(&self, guardian: SubjectId, view: &View, now: Time) -> Result<Vec<Person>, Problem> {
        let mut people = self.people(view.guardianships.wards.iter().copied()).await?;
        people.retain(|(_, ward)| ward.guardianships.guardian(guardian, now).is_some());
        Ok(people)
    }

    /// These people's views.
    ///
    /// # Errors
    /// 500, 503.
    pub(crate) async fn people(&self, subjects: impl Iterator<Item = SubjectId>) -> Result<Vec<Person>, Problem> {
        let lookups: Vec<_> = subjects.map(|subject| (subject, Version::ABSENT)).collect();
        let answers = self.views.get_many(&lookups).await.into_iter();
        let person = |((subject, _), answer): (&(SubjectId, _), Result<Answer, _>)| {
            answer.map(|answer| (*subject, answer.entry.view())).map_err(lookup_problem)
        };
        lookups.iter().zip(answers).map(person).collect()
    }

    /// Makes the citizen, whose own view this is, the guardian of who has made the invitation. Redeemed again by the
    /// same citizen it changes nothing.
    ///
    /// # Errors
    /// 400, 409, 500, 503.
    pub(crate) async fn redeem(
        &self,
        citizen: &Citizen,
        own: &View,
        invitation: &Invitation,
        now: Time,
    ) -> Result<Redeemed, Problem> {
        let (ward, guardian) = (invitation.ward, citizen.subject);
        let over = |detail: &str| Problem::new(ProblemType::InvitationOver, detail);
        if invitation.expires_at <= now {
            return Err(over("The invitation has expired: ask for a new one"));
        }
        let view = self.look_up(ward, Version::ABSENT, None).await?.entry.view();
        if view.ended_sessions.contains_id(invitation.session, invitation.session_started_at) {
            return Err(over("Who made the invitation has signed out since: ask for a new one"));
        }
        if view.guardianships.guardian(guardian, now).is_none() {
            self.check_room(guardian, own, &view, now).await?;
        }
        let id = invitation.id;
        let data = EventData::Guardianship { guardian, change: GuardianshipChange::Started { until: None } };
        let written = self.write_own(ward, format!("guardianship/{id:016x}/start"), data, now).await?;
        let answer = match &written {
            Some(token) => self.look_up(ward, Version::ABSENT, Some(Box::new(token.clone()))).await?,
            // By whom is in the store, perhaps not yet in the cache.
            None => self.views.bypass(ward, Version::ABSENT).await.map_err(lookup_problem)?,
        };
        let view = answer.entry.view();
        if view.guardianships.guardian(guardian, now).is_none() {
            return Err(over(
                "The invitation was used by somebody else, or what it began was ended: ask for a new one",
            ));
        }
        let data = EventData::Ward { ward, is_over: false };
        self.write_own(guardian, format!("ward/{id:016x}/start"), data, now).await?;
        Ok(Redeemed { view, freshness: written.map(|token| token.seal(&self.freshness)) })
    }

    /// Whether both may have one guardianship more.
    ///
    /// # Errors
    /// 409, 500, 503.
    async fn check_room(&self, guardian: SubjectId, own: &View, ward: &View, now: Time) -> Result<(), Problem> {
        let guardians = ward.guardianships.guardians.iter().filter(|guardian| guardian.is_in_force(now)).count();
        let detail = if guardians >= MAX_GUARDIANS {
            format!("This person has {MAX_GUARDIANS} guardians: one of them has to be ended first")
        } else if self.wards(guardian, own, now).await?.len() >= MAX_WARDS {
            format!("You are the guardian of {MAX_WARDS} persons: end one of these guardianships first")
        } else {
            return Ok(());
        };
        Err(Problem::new(ProblemType::TooManyGuardianships, detail))
    }

    /// Ends a guardianship, whoever has stated it until now. One that is over already stays so.
    ///
    /// # Errors
    /// 409, 500, 503.
    pub(crate) async fn end_guardianship(&self, handle: GuardianshipHandle, now: Time) -> Result<(), Problem> {
        let GuardianshipHandle { ward, guardian } = handle;
        let view = self.look_up(ward, Version::ABSENT, None).await?.entry.view();
        let known = view.guardianships.guardians.iter().find(|known| known.subject == guardian);
        let name: u64 = rand::random();
        // After its begin, whatever clock that is by.
        let at = known.map_or(now, |known| known.started_at.max(now));
        if known.is_some() {
            let data = EventData::Guardianship { guardian, change: GuardianshipChange::Ended };
            self.write_own(ward, format!("guardianship/{name:016x}/end"), data, at).await?;
        }
        let data = EventData::Ward { ward, is_over: true };
        self.write_own(guardian, format!("ward/{name:016x}/end"), data, at).await.map(drop)
    }
}
