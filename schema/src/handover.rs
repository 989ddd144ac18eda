//! The hand-over of a citizen's event from a read service to a writer: both the event and the answer are sealed by keys
//! that only the services of this system can derive. So the route needs no further authentication and no TLS, and a
//! hand-over that is sent again changes nothing.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::event::{Event, StoredEvent};
use crate::freshness::Freshness;
use crate::seal::SealKeys;
use crate::subject::PseudonymKey;
use crate::time::Time;

/// The writer's route.
pub const ROUTE: &str = "/internal/v1/citizen-events";

/// The keys of both directions.
pub struct HandoverKeys {
    events: SealKeys,
    answers: SealKeys,
}

/// A writer has taken the event of this id.
#[derive(Serialize, Deserialize)]
struct Answer {
    id: String,
    freshness: Option<Freshness>,
}

const FORMAT: u8 = 1;

impl HandoverKeys {
    /// Derives the keys.
    pub fn new(pseudonyms: &PseudonymKey) -> Self {
        Self { events: pseudonyms.seal_keys("citizen event"), answers: pseudonyms.seal_keys("citizen event answer") }
    }

    /// Seals an event.
    pub fn seal_event(&self, event: Event) -> Vec<u8> {
        // Not received yet: the writer notes when it was.
        self.events.seal(&StoredEvent::new(event, Time::default()).encode())
    }

    /// Opens a sealed event; `None` if no service of this system sealed it.
    pub fn open_event(&self, sealed: &[u8]) -> Option<Event> {
        let mut buffer = sealed.to_vec();
        StoredEvent::decode(self.events.open(&mut buffer).ok()?).ok().map(|stored| stored.event)
    }

    /// Seals the answer to the event of this id.
    pub fn seal_answer(&self, id: String, freshness: Option<Freshness>) -> Vec<u8> {
        self.answers.seal(&codec::encode(FORMAT, &Answer { id, freshness }))
    }

    /// Opens the answer to the event of this id; `None` if it is none.
    pub fn open_answer(&self, id: &str, sealed: &[u8]) -> Option<Option<Freshness>> {
        let mut buffer = sealed.to_vec();
        let answer: Answer = codec::decode("answer", FORMAT, self.answers.open(&mut buffer).ok()?).ok()?;
        (answer.id == id).then_some(answer.freshness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::CITIZEN;
    use crate::ended_sessions::EndedSessions;
    use crate::event::EventData;
    use crate::subject::SubjectId;
    use crate::view::Version;

    #[test]
    fn events_and_answers_open_only_with_the_same_key_in_their_own_direction() {
        let keys = |secret| HandoverKeys::new(&PseudonymKey::from_bytes(&[secret; 32]));
        let subject = SubjectId::from_bytes([5; 16]);
        let event = Event {
            subject,
            agency: CITIZEN.into(),
            id: "session-end/1".into(),
            revision: 0,
            document: String::new(),
            occurred_at: Time::from_secs(1),
            data: EventData::SessionEnd { sessions: EndedSessions::default() },
        };
        let sealed = keys(7).seal_event(event.clone());
        assert!(keys(7).open_event(&sealed).unwrap() == event);
        assert!(keys(8).open_event(&sealed).is_none() && keys(7).open_event(&sealed[1..]).is_none());
        let freshness = Freshness { region: "xian".into(), subject, version: Version(1), moment: Time::from_secs(2) };
        for freshness in [None, Some(freshness)] {
            let answer = keys(7).seal_answer(event.id.clone(), freshness.clone());
            assert!(keys(7).open_answer(&event.id, &answer).unwrap() == freshness);
            assert!(keys(7).open_answer("session-end/2", &answer).is_none(), "the answer to another event");
            assert!(keys(8).open_answer(&event.id, &answer).is_none() && keys(7).open_event(&answer).is_none());
        }
    }
}
