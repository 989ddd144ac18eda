//! Ends of sessions: at a sign-out at once, and of too many sessions as soon as a writer takes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use yima_schema::code::MAX_PAPER_LIFETIME;
use yima_schema::ended_sessions::{EndedSession, EndedSessions};
use yima_schema::event::EventData;
use yima_schema::problem::Problem;
use yima_schema::session::Session;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

use crate::app::App;
use crate::started_sessions::StartedSessions;

/// Citizens whose ends wait for a writer; the next sign-in of one more ends a session of theirs later.
const MAX_PENDING: usize = 100_000;
/// After a writer took nothing, and when a citizen's quota of ends is used up.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What this node knows of sessions.
#[derive(Default)]
pub(crate) struct SessionEnds {
    started: Mutex<StartedSessions>,
    pending: Mutex<HashMap<SubjectId, Vec<EndedSession>>>,
    added: Notify,
}

/// Why sessions are ended.
#[derive(Clone, Copy)]
enum Cause {
    SignOut,
    Everywhere,
    TooMany,
    Paper,
}

impl SessionEnds {
    /// Counts a session that starts `now`. The oldest one of too many will be ended.
    pub fn started(&self, subject: SubjectId, session: &Session, now: Time) {
        if let Some(too_many) = self.started.lock().add(subject, entry(session), now) {
            self.put_back(subject, vec![too_many]);
            self.added.notify_one();
        }
    }

    fn put_back(&self, subject: SubjectId, sessions: Vec<EndedSession>) {
        let mut pending = self.pending.lock();
        if pending.len() < MAX_PENDING || pending.contains_key(&subject) {
            pending.entry(subject).or_default().extend(sessions);
        }
    }
}

impl App {
    /// Ends one session of a citizen.
    ///
    /// # Errors
    /// 503 when no writer takes the end.
    pub(crate) async fn end_session(&self, subject: SubjectId, session: &Session, now: Time) -> Result<(), Problem> {
        let sessions = EndedSessions { through: None, sessions: vec![entry(session)] };
        // One name for each session, so that a repeated sign-out writes nothing.
        self.write_end(subject, session.id, sessions, Cause::SignOut, now).await?;
        self.session_ends.started.lock().remove(subject, Some(session.id));
        Ok(())
    }

    /// Ends every session of a citizen that has started until now.
    ///
    /// # Errors
    /// As [`Self::end_session`].
    pub(crate) async fn end_all_sessions(&self, subject: SubjectId, now: Time) -> Result<(), Problem> {
        let sessions = EndedSessions { through: Some(now), sessions: Vec::new() };
        self.write_end(subject, rand::random(), sessions, Cause::Everywhere, now).await?;
        self.session_ends.started.lock().remove(subject, None);
        Ok(())
    }

    /// Ends a printed code of a citizen. When it was printed is not known here: now is the latest moment.
    ///
    /// # Errors
    /// As [`Self::end_session`].
    pub(crate) async fn end_paper(&self, subject: SubjectId, number: u64, now: Time) -> Result<(), Problem> {
        let ended = EndedSession { started_at: now, id: number, expires_at: now.plus(MAX_PAPER_LIFETIME) };
        let sessions = EndedSessions { through: None, sessions: vec![ended] };
        self.write_end(subject, number, sessions, Cause::Paper, now).await
    }

    /// Ends sessions of which a citizen has too many, for ever. While no writer takes an end, it waits here.
    pub(crate) async fn end_too_many_sessions(self: Arc<Self>) {
        let mut is_failing = false;
        loop {
            if self.session_ends.pending.lock().is_empty() {
                self.session_ends.added.notified().await;
            }
            let pending = std::mem::take(&mut *self.session_ends.pending.lock());
            let failed_before = is_failing;
            is_failing = false;
            for (subject, sessions) in pending {
                let written = if is_failing { Ok(false) } else { self.end_too_many(subject, &sessions).await };
                if let Err(problem) = &written {
                    is_failing = true;
                    if !failed_before {
                        tracing::warn!(kind = problem.kind.slug(), "ends of sessions wait until a writer takes them");
                    }
                }
                if !written.unwrap_or(false) {
                    self.session_ends.put_back(subject, sessions);
                }
            }
            if !self.session_ends.pending.lock().is_empty() {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// `false`: the citizen's quota of ends is used up.
    async fn end_too_many(&self, subject: SubjectId, sessions: &[EndedSession]) -> Result<bool, Problem> {
        let now = (self.clock)();
        if self.limits.session_end.check(subject.fingerprint(), 1).is_err() {
            return Ok(false);
        }
        let ended = EndedSessions::new(None, sessions.iter().copied(), now);
        if !ended.is_empty() {
            self.write_end(subject, rand::random(), ended, Cause::TooMany, now).await?;
        }
        Ok(true)
    }

    async fn write_end(
        &self,
        subject: SubjectId,
        name: u64,
        sessions: EndedSessions,
        cause: Cause,
        now: Time,
    ) -> Result<(), Problem> {
        let data = EventData::SessionEnd { sessions };
        let written = self.write_own(subject, format!("session-end/{name:016x}"), data, now).await;
        cause.count(written.is_ok());
        written.map(|_| ())
    }
}

impl Cause {
    fn count(self, is_written: bool) {
        let cause = match self {
            Self::SignOut => "sign_out",
            Self::Everywhere => "everywhere",
            Self::TooMany => "too_many",
            Self::Paper => "paper",
        };
        let outcome = if is_written { "written" } else { "failed" };
        metrics::counter!("session_ends_total", "cause" => cause, "outcome" => outcome).increment(1);
    }
}

fn entry(session: &Session) -> EndedSession {
    EndedSession { started_at: session.started_at, id: session.id, expires_at: session.expires_at }
}
