//! A subject's phones, and the number of events by which its colour may have become worse.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{EventData, PhoneChange, StoredEvent};
use crate::phones::{Phone, Phones};
use crate::time::Time;

/// The subject's own phones that these events have started and not ended. Who ends all sessions ends the phones too.
pub(super) fn phones(distinct: &[&StoredEvent]) -> Phones {
    let (mut started, mut ended, mut through) = (Vec::new(), BTreeSet::new(), Time::MIN);
    let mut are_of_guardians = false;
    for StoredEvent { event, .. } in distinct {
        match &event.data {
            EventData::Phone { id, change: PhoneChange::Started { name } } => {
                started.push(Phone { started_at: event.occurred_at, id: *id, name: name.clone() });
            }
            EventData::Phone { id, change: PhoneChange::Ended } => drop(ended.insert(*id)),
            EventData::Phone { change: PhoneChange::StartedByGuardian { .. }, .. } => are_of_guardians = true,
            EventData::SessionEnd { sessions } => through = through.max(sessions.through.unwrap_or(Time::MIN)),
            EventData::Identity { .. }
            | EventData::TestResult { .. }
            | EventData::Vaccination { .. }
            | EventData::ColourAssignment { .. }
            | EventData::Retraction { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => {}
        }
    }
    let has_ended = |phone: &Phone| ended.contains(&phone.id) || phone.started_at <= through;
    let worsenings = if are_of_guardians || !started.is_empty() { worsenings(distinct) } else { 0 };
    Phones::new(started, has_ended, worsenings)
}

/// Events that restrict or take another back; and further contents of one event, which may take back what had lifted a
/// restriction, or end a guardianship earlier. Whatever makes a colour worse is among them, and no event takes one
/// away.
fn worsenings(distinct: &[&StoredEvent]) -> u32 {
    let mut of_one_id: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let stated = || distinct.iter().map(|stored| &stored.event).filter(|event| event.is_of_an_agency());
    for event in stated() {
        *of_one_id.entry((&event.agency, &event.id)).or_default() += 1;
    }
    let further: u32 = of_one_id.into_values().map(|contents| contents - 1).sum();
    further + stated().filter(|event| event.data.may_use_reserve()).count() as u32
}
