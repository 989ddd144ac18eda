//! Room for events: what a subject still takes once it has many of them.

use std::collections::BTreeMap;

use super::Event;
use crate::limits::{
    MAX_EVENTS_PER_AGENCY, MAX_EVENTS_PER_SUBJECT, MAX_EVENTS_WITH_RESERVE, RESERVED_EVENTS_PER_AGENCY,
};
use crate::time::Time;

/// The number of a subject's events: of all, and of each agency.
#[derive(Clone, Default)]
pub struct EventCounts {
    all: usize,
    agencies: BTreeMap<String, OfAgency>,
}

/// The number of one agency's events.
#[derive(Clone, Copy, Default)]
struct OfAgency {
    all: usize,
    /// Those that were taken when the subject had [`MAX_EVENTS_PER_SUBJECT`] already.
    reserved: usize,
}

impl EventCounts {
    /// Counts stored events: when each was received, and its agency.
    pub fn of<'a>(events: impl IntoIterator<Item = (Time, &'a str)>) -> Self {
        let mut received: Vec<_> = events.into_iter().collect();
        received.sort_unstable();
        let mut counts = Self::default();
        received.into_iter().for_each(|(_, agency)| counts.add(agency));
        counts
    }

    /// The number of all events.
    pub fn all(&self) -> usize {
        self.all
    }

    /// Whether there is room for one more event. Of any kind up to [`MAX_EVENTS_PER_SUBJECT`], of one agency up to
    /// [`MAX_EVENTS_PER_AGENCY`]. Beyond, [`RESERVED_EVENTS_PER_AGENCY`] for each agency, for what restricts and for
    /// retractions: so no agency can use up the room for another one's restrictions.
    pub fn has_room_for(&self, event: &Event) -> bool {
        let own = self.agencies.get(&event.agency).copied().unwrap_or_default();
        if self.all >= MAX_EVENTS_PER_SUBJECT {
            return event.data.may_use_reserve()
                && own.reserved < RESERVED_EVENTS_PER_AGENCY
                && self.all < MAX_EVENTS_WITH_RESERVE;
        }
        let reserve = if event.data.may_use_reserve() { RESERVED_EVENTS_PER_AGENCY } else { 0 };
        own.all < MAX_EVENTS_PER_AGENCY + reserve
    }

    /// Counts one more event, received after the others.
    pub fn add(&mut self, agency: &str) {
        let own = match self.agencies.get_mut(agency) {
            Some(own) => own,
            None => self.agencies.entry(agency.to_owned()).or_default(),
        };
        own.all += 1;
        own.reserved += usize::from(self.all >= MAX_EVENTS_PER_SUBJECT);
        self.all += 1;
    }

    /// Takes the last [`Self::add`] back.
    pub fn take_back(&mut self, agency: &str) {
        if let Some(own) = self.agencies.get_mut(agency) {
            self.all -= 1;
            own.all -= 1;
            own.reserved -= usize::from(self.all >= MAX_EVENTS_PER_SUBJECT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Colour, EventData, TestKind, TestOutcome};
    use crate::subject::SubjectId;

    fn event(agency: &str, data: EventData) -> Event {
        Event {
            subject: SubjectId::from_bytes([1; 16]),
            agency: agency.into(),
            id: "a".into(),
            revision: 0,
            document: String::new(),
            occurred_at: Time::default(),
            data,
        }
    }

    fn test(agency: &str, result: TestOutcome) -> Event {
        event(agency, EventData::TestResult { test: TestKind::NucleicAcid, result })
    }

    /// Sends events until they are refused; returns how many were taken.
    fn fill(counts: &mut EventCounts, event: &Event) -> usize {
        let before = counts.all();
        while counts.has_room_for(event) {
            counts.add(&event.agency);
        }
        counts.all() - before
    }

    #[test]
    fn one_agency_takes_half_of_a_subject_and_200_restrictions_more() {
        let mut counts = EventCounts::default();
        assert_eq!(fill(&mut counts, &test("lab-7", TestOutcome::Negative)), 1_000);
        assert_eq!(fill(&mut counts, &test("lab-7", TestOutcome::Positive)), 200);
        assert!(counts.has_room_for(&test("lab-8", TestOutcome::Negative)));
    }

    #[test]
    fn ten_agencies_together_cannot_have_a_restriction_of_another_refused() {
        let mut counts = EventCounts::default();
        for agency in 0..10 {
            let agency = format!("lab-{agency}");
            fill(&mut counts, &test(&agency, TestOutcome::Negative));
            fill(&mut counts, &test(&agency, TestOutcome::Positive));
        }
        assert!(counts.all() <= 4_000);
        assert!(!counts.has_room_for(&test("other", TestOutcome::Negative)));
        assert_eq!(fill(&mut counts, &test("other", TestOutcome::Positive)), 200);
    }

    #[test]
    fn a_subject_that_was_full_takes_restrictions_and_retractions() {
        let stored = (0..2_000).map(|second| (Time::from_secs(second), "lab-7"));
        let counts = EventCounts::of(stored);
        for result in [TestOutcome::Negative, TestOutcome::Invalid, TestOutcome::Inconclusive] {
            assert!(!counts.has_room_for(&test("lab-7", result)));
        }
        let assigned = |colour| EventData::ColourAssignment { colour, reason: "quarantine".into(), until: None };
        for data in [
            EventData::TestResult { test: TestKind::Antigen, result: TestOutcome::Positive },
            assigned(Colour::Yellow),
            assigned(Colour::Red),
            EventData::Retraction { event_id: "a".into(), why: "mixed up".into() },
        ] {
            assert!(counts.has_room_for(&event("lab-7", data.clone())) && counts.has_room_for(&event("lab-8", data)));
        }
        assert!(!counts.has_room_for(&event("lab-8", assigned(Colour::Green))));
    }

    #[test]
    fn what_is_taken_back_was_never_counted() {
        let mut counts = EventCounts::of((0..1_999).map(|second| (Time::from_secs(second), "lab-7")));
        let positive = test("lab-8", TestOutcome::Positive);
        fill(&mut counts, &positive);
        (0..201).for_each(|_| counts.take_back("lab-8"));
        assert_eq!(fill(&mut counts, &positive), 201);
    }
}
