//! A subject's guardianships, apart from everything about health.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, EventData, GuardianshipChange, PhoneChange, StoredEvent};
use crate::guardianships::{Guardian, Guardianships, MAX_GUARDIANS, MAX_WARDS};
use crate::phones::{Phone, Phones};
use crate::subject::SubjectId;
use crate::time::Time;

/// What an agency has stated or two people have agreed on.
struct Statement<'a> {
    guardian: SubjectId,
    from: Time,
    until: Option<Time>,
    agency: Option<&'a str>,
}

/// The guardianships that begin after both sides' last end. Of several statements about one guardian the one that lasts
/// longest counts.
pub(super) fn guardianships(distinct: &[&StoredEvent], effective: &[&Event]) -> Guardianships {
    let ended = ends(distinct);
    let begins_after_end = |guardian: &SubjectId, at: Time| ended.get(guardian).is_none_or(|end| *end < at);
    let mut guardians: BTreeMap<SubjectId, Guardian> = BTreeMap::new();
    for Statement { guardian, from, until, agency } in stated(effective).chain(agreed(distinct)) {
        if !begins_after_end(&guardian, from) {
            continue;
        }
        let agency = agency.map(str::to_owned);
        let new = Guardian { started_at: from, subject: guardian, until, agency, phones: Vec::new() };
        let lasts = |guardian: &Guardian| (guardian.until.unwrap_or(Time::MAX), Reverse(guardian.agency.clone()));
        let known = guardians.entry(guardian).or_insert_with(|| new.clone());
        // An end that follows is of all of them.
        let started_at = known.started_at.max(from);
        if lasts(&new) > lasts(known) {
            *known = new;
        }
        known.started_at = started_at;
    }
    let mut guardians: Vec<_> = guardians.into_values().collect();
    guardians.sort_unstable_by_key(|guardian| Reverse((guardian.started_at, guardian.subject)));
    guardians.truncate(MAX_GUARDIANS);
    let (phones, ended_phones) = phones(distinct);
    for guardian in &mut guardians {
        let of_guardian = phones.iter().filter(|(of, _)| *of == guardian.subject).map(|(_, phone)| phone.clone());
        let is_over =
            |phone: &Phone| ended_phones.contains(&phone.id) || !begins_after_end(&guardian.subject, phone.started_at);
        guardian.phones = Phones::of_guardian(of_guardian, is_over);
    }
    Guardianships { guardians, wards: wards(distinct) }
}

/// The last end of each guardian.
fn ends(distinct: &[&StoredEvent]) -> BTreeMap<SubjectId, Time> {
    let mut ended = BTreeMap::new();
    for StoredEvent { event, .. } in distinct {
        if let EventData::Guardianship { guardian, change: GuardianshipChange::Ended } = event.data {
            let last = ended.entry(guardian).or_insert(event.occurred_at);
            *last = event.occurred_at.max(*last);
        }
    }
    ended
}

/// What agencies state.
fn stated<'a>(effective: &[&'a Event]) -> impl Iterator<Item = Statement<'a>> {
    effective.iter().filter_map(|event| statement(event, Some(&event.agency)))
}

/// What people have agreed on. Of two who have redeemed one invitation in two regions the first one counts.
fn agreed<'a>(distinct: &[&'a StoredEvent]) -> impl Iterator<Item = Statement<'a>> {
    let mut first: BTreeMap<&str, &StoredEvent> = BTreeMap::new();
    for stored in distinct.iter().copied().filter(|stored| !stored.event.is_of_an_agency()) {
        if statement(&stored.event, None).is_some() {
            let of_id = first.entry(&stored.event.id).or_insert(stored);
            if (stored.event.occurred_at, stored.hash) < (of_id.event.occurred_at, of_id.hash) {
                *of_id = stored;
            }
        }
    }
    first.into_values().filter_map(|stored| statement(&stored.event, None))
}

fn statement<'a>(event: &Event, agency: Option<&'a str>) -> Option<Statement<'a>> {
    let EventData::Guardianship { guardian, change: GuardianshipChange::Started { until } } = event.data else {
        return None;
    };
    // A subject needs no guardian to show its own code.
    let is_another = guardian != event.subject;
    is_another.then_some(Statement { guardian, from: event.occurred_at, until, agency })
}

/// The phones that guardians have registered, and the phones that have ended.
fn phones(distinct: &[&StoredEvent]) -> (Vec<(SubjectId, Phone)>, BTreeSet<u64>) {
    let (mut started, mut ended) = (Vec::new(), BTreeSet::new());
    for StoredEvent { event, .. } in distinct {
        let EventData::Phone { id, change } = &event.data else { continue };
        match change {
            PhoneChange::StartedByGuardian { guardian, name } => {
                started.push((*guardian, Phone { started_at: event.occurred_at, id: *id, name: name.clone() }));
            }
            PhoneChange::Ended => drop(ended.insert(*id)),
            PhoneChange::Started { .. } => {}
        }
    }
    (started, ended)
}

/// The wards of whom there is a notice, and no end after it.
fn wards(distinct: &[&StoredEvent]) -> Vec<SubjectId> {
    let mut last: BTreeMap<SubjectId, (Time, bool)> = BTreeMap::new();
    for StoredEvent { event, .. } in distinct {
        if let EventData::Ward { ward, is_over } = event.data {
            // Of two at one moment the end counts.
            let known = last.entry(ward).or_insert((event.occurred_at, is_over));
            *known = (*known).max((event.occurred_at, is_over));
        }
    }
    let mut wards: Vec<_> =
        last.into_iter().filter(|(_, (_, is_over))| !is_over).map(|(ward, (from, _))| (from, ward)).collect();
    wards.sort_unstable_by_key(|ward| Reverse(*ward));
    wards.truncate(MAX_WARDS);
    wards.into_iter().map(|(_, ward)| ward).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::derive;
    use crate::derive::tests::{at, event, own};
    use crate::rules::Rules;
    use crate::view::View;

    fn subject(n: u8) -> SubjectId {
        SubjectId::from_bytes([n; 16])
    }

    fn started(guardian: u8, until: Option<u32>) -> EventData {
        let change = GuardianshipChange::Started { until: until.map(at) };
        EventData::Guardianship { guardian: subject(guardian), change }
    }

    fn ended(guardian: u8) -> EventData {
        EventData::Guardianship { guardian: subject(guardian), change: GuardianshipChange::Ended }
    }

    fn view(events: &[StoredEvent]) -> View {
        let view = derive(events, &Rules::built_in());
        let mut reversed = events.to_vec();
        reversed.reverse();
        assert!(derive(&reversed, &Rules::built_in()) == view && View::decode(&view.encode()).unwrap() == view);
        view
    }

    /// Guardian, end in hours, and whether an agency stated it, of those in force at an hour.
    fn guardians(events: &[StoredEvent], hour: u32) -> Vec<(u8, Option<Time>, bool)> {
        let guardians = view(events).guardianships.guardians;
        let in_force = guardians.iter().filter(|guardian| guardian.is_in_force(at(hour)));
        in_force.map(|g| (g.subject.as_bytes()[0], g.until, g.agency.is_some())).collect()
    }

    fn retraction(of: &str) -> EventData {
        EventData::Retraction { event_id: of.into(), why: "custody".into() }
    }

    #[test]
    fn an_agencys_guardianship_registers_nobody_and_is_corrected_retracted_and_over_by_age() {
        let first = event("g", 0, 0, started(2, Some(100)));
        let alone = view(std::slice::from_ref(&first));
        assert_eq!((alone.colour_at(at(1)).reason(), alone.document.as_deref()), ("not_registered", None));
        let events = [first.clone()];
        assert_eq!(guardians(&events, 99), [(2, Some(at(100)), true)]);
        assert!(guardians(&events, 100).is_empty());
        let corrected = [first.clone(), event("g", 1, 0, started(3, Some(50)))];
        assert_eq!(guardians(&corrected, 1), [(3, Some(at(50)), true)]);
        let retracted = [first.clone(), event("r", 0, 5, retraction("g"))];
        assert!(guardians(&retracted, 6).is_empty());
        // What had been a test is one no more.
        let result = EventData::TestResult {
            test: crate::event::TestKind::NucleicAcid,
            result: crate::event::TestOutcome::Positive,
        };
        let mixed_up = view(&[event("g", 0, 0, result), event("g", 1, 0, started(2, None))]);
        assert!(mixed_up.tests.is_empty() && mixed_up.guardianships.guardians.len() == 1);
        assert!(guardians(&[event("g", 0, 0, started(1, None))], 1).is_empty(), "oneself");
    }

    #[test]
    fn an_end_is_of_all_that_was_stated_before_it_and_a_later_statement_counts() {
        let mut events = vec![event("g", 0, 0, started(2, Some(100))), own("i", 5, started(2, None))];
        assert_eq!(guardians(&events, 200), [(2, None, false)], "the one that lasts longest");
        events.push(own("e", 5, ended(2)));
        assert!(guardians(&events, 6).is_empty(), "at the same moment the end counts");
        events.push(event("g", 1, 0, started(2, None)));
        assert!(guardians(&events, 6).is_empty(), "a correction begins when the first did");
        events.push(own("j", 7, started(2, None)));
        assert_eq!(guardians(&events, 8), [(2, None, false)]);
        events.push(own("k", 8, started(3, None)));
        assert_eq!(guardians(&events, 9), [(3, None, false), (2, None, false)]);
    }

    #[test]
    fn of_two_who_redeem_one_invitation_the_first_one_counts() {
        let events = [own("i", 2, started(3, None)), own("i", 1, started(2, None))];
        assert_eq!(guardians(&events, 3), [(2, None, false)]);
    }

    #[test]
    fn of_more_than_sixteen_those_that_began_last_count() {
        let events: Vec<_> = (2..22).map(|n| own(&n.to_string(), n.into(), started(n, None))).collect();
        let listed: Vec<_> = guardians(&events, 99).into_iter().map(|(guardian, ..)| guardian).collect();
        assert_eq!(listed, (6..22).rev().collect::<Vec<_>>());
        let notice = |n: u8| own(&n.to_string(), n.into(), EventData::Ward { ward: subject(n), is_over: false });
        let mut events: Vec<_> = (2..22).map(notice).collect();
        events.push(own("over", 30, EventData::Ward { ward: subject(21), is_over: true }));
        let wards = view(&events).guardianships.wards;
        assert_eq!(wards, (5..21).rev().map(subject).collect::<Vec<_>>());
    }

    #[test]
    fn a_guardians_phones_are_over_with_the_guardianship_and_leave_the_wards_own_alone() {
        let phone = |id: u64, hour: u32, guardian: u8| {
            let change = PhoneChange::StartedByGuardian { guardian: subject(guardian), name: id.to_string() };
            own(&format!("phone/{id}"), hour, EventData::Phone { id, change })
        };
        let own_phone = PhoneChange::Started { name: "own".into() };
        let mut events = vec![own("own", 0, EventData::Phone { id: 1, change: own_phone })];
        events.extend([own("i", 1, started(2, Some(100))), own("j", 1, started(3, None))]);
        events.extend((10..16).map(|id| phone(id, id as u32, 2)));
        events.extend([phone(20, 20, 3), phone(30, 30, 4)]);
        let shown = |events: &[StoredEvent], hour: u32| {
            let view = view(events);
            (0..40).filter(|id| view.phone(*id, at(hour)).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(shown(&events, 50), [1, 12, 13, 14, 15, 20], "four of one guardian; none of a stranger");
        assert_eq!(shown(&events, 100), [1, 20], "by age");
        let phones = view(&events).phones;
        assert_eq!((phones.open.len(), phones.started, phones.room_for_sessions()), (1, 1, 15));
        events.push(own("end", 40, EventData::Phone { id: 13, change: PhoneChange::Ended }));
        events.push(own("e", 50, ended(3)));
        assert_eq!(shown(&events, 60), [1, 12, 14, 15]);
        events.push(own("again", 60, started(3, None)));
        assert_eq!(shown(&events, 70), [1, 12, 14, 15], "a phone of before does not come back");
    }

    #[test]
    fn a_correction_is_a_worsening_where_only_a_guardian_has_a_phone() {
        let change = PhoneChange::StartedByGuardian { guardian: subject(2), name: "p".into() };
        let mut events = vec![event("g", 0, 0, started(2, None)), own("p", 1, EventData::Phone { id: 5, change })];
        assert_eq!(view(&events).phones.worsenings, 0);
        events.push(event("g", 1, 0, started(2, Some(30))));
        assert_eq!(view(&events).phones.worsenings, 1, "tokens of before last longer");
        events.push(own("e", 20, ended(2)));
        assert_eq!(view(&events).phones.worsenings, 1, "an end takes the phone away");
    }
}
