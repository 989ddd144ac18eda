//! The sessions of a subject that were ended before their time. A session is valid unless it was ended, so that reading
//! needs no list of sessions, and signing in no writer.

use serde::{Deserialize, Serialize};

use crate::session::Session;
use crate::time::Time;

/// Most entries of a view, those of phones included: one moment, and this many less one single sessions.
pub const MAX_ENTRIES: usize = 16;

/// One session that was ended.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndedSession {
    /// When it started.
    pub started_at: Time,
    /// Its id.
    pub id: u64,
    /// When it would have ended by itself.
    pub expires_at: Time,
}

/// The ended sessions of one subject.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndedSessions {
    /// Every session that started at this moment or before.
    pub through: Option<Time>,
    /// Further sessions, the one that started last first.
    pub sessions: Vec<EndedSession>,
}

impl EndedSessions {
    /// Whether no session is known to have ended.
    pub fn is_empty(&self) -> bool {
        self.through.is_none() && self.sessions.is_empty()
    }

    /// Whether this session has ended.
    pub fn contains(&self, session: &Session) -> bool {
        self.contains_id(session.id, session.started_at)
    }

    /// Whether a session with this id has ended, or a printed code with this number.
    pub fn contains_id(&self, id: u64, started_at: Time) -> bool {
        self.through.is_some_and(|through| started_at <= through) || self.sessions.iter().any(|ended| ended.id == id)
    }

    /// The sessions that started up to `through`, and these. Those that had expired at `now` are left out. Of more than
    /// [`MAX_ENTRIES`] the ones that started first move `through` up: a session that was ended stays ended, and one
    /// that started even earlier ends with it.
    pub fn new(through: Option<Time>, ended: impl IntoIterator<Item = EndedSession>, now: Time) -> Self {
        Self::within(MAX_ENTRIES, through, ended, now)
    }

    /// The same, with fewer entries: at least 1.
    pub(crate) fn within(
        entries: usize,
        through: Option<Time>,
        ended: impl IntoIterator<Item = EndedSession>,
        now: Time,
    ) -> Self {
        let mut sessions: Vec<_> = ended.into_iter().filter(|session| session.expires_at > now).collect();
        sessions.sort_unstable_by(|a, b| b.cmp(a));
        sessions.dedup_by_key(|session| session.id);
        let through = through.max(sessions.get(entries - 1).map(|session| session.started_at));
        sessions.retain(|session| through.is_none_or(|through| session.started_at > through));
        Self { through, sessions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Holder;
    use crate::subject::SubjectId;

    fn session(id: u64, started_s: i64) -> Session {
        let (started_at, expires_at) = (Time::from_secs(started_s), Time::from_secs(started_s + 1_000));
        Session { id, started_at, expires_at, holder: Holder::Citizen { subject: SubjectId::from_bytes([1; 16]) } }
    }

    fn ended(session: &Session) -> EndedSession {
        EndedSession { started_at: session.started_at, id: session.id, expires_at: session.expires_at }
    }

    #[test]
    fn ended_sessions_stay_ended_and_no_view_has_more_than_sixteen_entries() {
        let sessions: Vec<_> = (0..40).map(|n| session(n, 100 + n as i64)).collect();
        for count in 0..=sessions.len() {
            let all = EndedSessions::new(None, sessions[..count].iter().map(ended), Time::from_secs(0));
            assert!(all.sessions.len() + usize::from(all.through.is_some()) <= MAX_ENTRIES);
            assert!(sessions[..count].iter().all(|session| all.contains(session)), "{count}");
            assert!(!sessions[count..].iter().any(|session| all.contains(session)), "{count}");
            assert_eq!(all.is_empty(), count == 0);
        }
    }

    #[test]
    fn a_moment_ends_what_started_by_then_and_expired_sessions_need_no_entry() {
        let [early, late] = [session(1, 100), session(2, 200)];
        let all = EndedSessions::new(Some(Time::from_secs(100)), [ended(&early)], Time::from_secs(0));
        assert!(all.contains(&early) && !all.contains(&late) && all.sessions.is_empty());
        let expired = EndedSessions::new(None, [ended(&early), ended(&late)], Time::from_secs(1_150));
        assert!(expired.sessions == [ended(&late)] && expired.through.is_none());
    }
}
