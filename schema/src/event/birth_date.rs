//! Dates of birth are not kept: neither as such, nor as the time of an identity, nor in a content hash.

use serde::Serializer;

use super::{Event, EventData};
use crate::time::{DAY, Time};

impl Event {
    /// Forgets the date of birth of an identity. Some senders state it as the identity's time too: such a time becomes
    /// 1970-01-01, as of an identity without a time.
    pub(super) fn forget_birth_date(&mut self) {
        let EventData::Identity { born, deceased_at, .. } = &mut self.data else { return };
        let Some(first_moment) = born.take().and_then(|born| first_moment(&born)) else { return };
        // Within a day, since the sender's offset from UTC is not known.
        let distance = self.occurred_at.since(first_moment).max(first_moment.since(self.occurred_at));
        if distance <= DAY {
            let forgotten = Time::default();
            if *deceased_at == Some(self.occurred_at) {
                *deceased_at = Some(forgotten);
            }
            self.occurred_at = forgotten;
        }
    }
}

/// The first moment of a date in UTC. `born`: ISO 8601, possibly only the year or month.
fn first_moment(born: &str) -> Option<Time> {
    let day = match born.len() {
        4 => format!("{born}-01-01"),
        7 => format!("{born}-01"),
        _ => born.to_owned(),
    };
    format!("{day}T00:00:00Z").parse().ok()
}

/// Serializes every date of birth as none.
pub(super) fn not_kept<S: Serializer>(_: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}
