//! The ends of a subject's sessions, apart from everything about health.

use std::time::Duration;

use crate::ended_sessions::EndedSessions;
use crate::event::{EventData, StoredEvent};
use crate::time::Time;

/// How far the clocks of two writers may differ: an ended session stays in the view as long after it has expired.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// The sessions that these events have ended. None can be taken back. The newest end stands for the clock: a session
/// that had expired by then needs no entry. There are so many `entries` at most.
pub(super) fn ended(distinct: &[&StoredEvent], entries: usize) -> EndedSessions {
    let (mut through, mut sessions, mut newest) = (None, Vec::new(), Time::MIN);
    for StoredEvent { event, .. } in distinct {
        let EventData::SessionEnd { sessions: ended } = &event.data else { continue };
        newest = newest.max(event.occurred_at);
        through = through.max(ended.through);
        sessions.extend_from_slice(&ended.sessions);
    }
    EndedSessions::within(entries, through, sessions, newest.minus(CLOCK_SKEW))
}
