//! The ends of a subject's sessions, apart from everything about health.

use std::borrow::Cow;
use std::time::Duration;

use crate::ended_sessions::EndedSessions;
use crate::event::{Event, EventData, StoredEvent};
use crate::time::Time;

/// How far the clocks of two writers may differ: an ended session stays in the view as long after it has expired.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// Whether an event ends sessions.
pub(super) fn is_end(event: &Event) -> bool {
    matches!(event.data, EventData::SessionEnd { .. })
}

/// The events about health. Copied only if there are others.
pub(super) fn without_ends(events: &[StoredEvent]) -> Cow<'_, [StoredEvent]> {
    if events.iter().any(|stored| is_end(&stored.event)) {
        Cow::Owned(events.iter().filter(|stored| !is_end(&stored.event)).cloned().collect())
    } else {
        Cow::Borrowed(events)
    }
}

/// The sessions that these events have ended. None can be taken back. The newest end stands for the clock: a session
/// that had expired by then needs no entry.
pub(super) fn ended<'a>(events: impl Iterator<Item = &'a Event>) -> EndedSessions {
    let (mut through, mut sessions, mut newest) = (None, Vec::new(), Time::MIN);
    for event in events {
        let EventData::SessionEnd { sessions: ended } = &event.data else { continue };
        newest = newest.max(event.occurred_at);
        through = through.max(ended.through);
        sessions.extend_from_slice(&ended.sessions);
    }
    EndedSessions::new(through, sessions, newest.minus(CLOCK_SKEW))
}
