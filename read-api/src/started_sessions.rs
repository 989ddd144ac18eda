//! The sessions that this node has started lately, by citizen: who starts too many has the oldest one ended.

use std::collections::HashMap;

use yima_schema::ended_sessions::EndedSession;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;

/// Most sessions of one citizen.
const MAX_SESSIONS: usize = 8;
/// Citizens in one table. When the young one is full, the old one is dropped and the young one takes its place.
const MAX_CITIZENS: usize = 100_000;

/// Sessions by citizen, the one that started first at the front; about 100 bytes a citizen.
#[derive(Default)]
pub(crate) struct StartedSessions {
    young: HashMap<SubjectId, Vec<EndedSession>>,
    old: HashMap<SubjectId, Vec<EndedSession>>,
}

impl StartedSessions {
    /// Records a session that starts `now`, and returns the one that is too many with it.
    pub fn add(&mut self, subject: SubjectId, session: EndedSession, now: Time) -> Option<EndedSession> {
        let mut sessions = self.take(subject);
        sessions.retain(|earlier| earlier.expires_at > now);
        sessions.push(session);
        let too_many = (sessions.len() > MAX_SESSIONS).then(|| sessions.remove(0));
        self.put(subject, sessions);
        too_many
    }

    /// Forgets a session that was ended, or with `None` all of the citizen.
    pub fn remove(&mut self, subject: SubjectId, session: Option<u64>) {
        let mut sessions = self.take(subject);
        sessions.retain(|started| session.is_some_and(|id| started.id != id));
        if !sessions.is_empty() {
            self.put(subject, sessions);
        }
    }

    fn take(&mut self, subject: SubjectId) -> Vec<EndedSession> {
        self.young.remove(&subject).or_else(|| self.old.remove(&subject)).unwrap_or_default()
    }

    fn put(&mut self, subject: SubjectId, sessions: Vec<EndedSession>) {
        if self.young.len() >= MAX_CITIZENS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(subject, sessions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ninth_session_is_one_too_many_and_ended_ones_make_room() {
        let mut started = StartedSessions::default();
        let subject = SubjectId::from_bytes([1; 16]);
        let t = Time::from_secs;
        let session = |n: i64| EndedSession { id: n as u64, started_at: t(n), expires_at: t(100 + n) };
        let add = |started: &mut StartedSessions, n: i64, now| {
            started.add(subject, session(n), t(now)).map(|too_many| too_many.id)
        };
        assert!((1..=8).all(|n| add(&mut started, n, n).is_none()));
        assert_eq!(add(&mut started, 9, 9), Some(1));
        started.remove(subject, Some(5));
        assert_eq!((add(&mut started, 10, 10), add(&mut started, 11, 11)), (None, Some(2)));
        assert_eq!(add(&mut started, 12, 104), None, "two have expired by now");
        started.remove(subject, None);
        assert!(started.young.is_empty());
    }
}
