//! Properties of `derive`, against an oracle that evaluates each event at one moment, without spans or segments.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::derive;
use crate::agency::CITIZEN;
use crate::ended_sessions::{EndedSession, EndedSessions};
use crate::event::{
    Colour, Event, EventData, EventKind, GuardianshipChange, PhoneChange, Rank, StoredEvent, TestKind, TestOutcome,
};
use crate::guardianships::Guardianships;
use crate::phones::Phones;
use crate::rules::Rules;
use crate::subject::SubjectId;
use crate::time::{DAY, HOUR, Time};
use crate::view::View;

const START: i64 = 1_790_000_000; // seconds; September 2026

pub(super) fn at(hours: u32) -> Time {
    Time::from_secs(START).plus(HOUR * hours)
}

pub(super) fn event(id: &str, revision: u64, hours: u32, data: EventData) -> StoredEvent {
    let event = Event {
        subject: SubjectId::from_bytes([1; 16]),
        agency: "lab7".into(),
        id: id.into(),
        revision,
        document: "610102********0016".into(),
        occurred_at: at(hours),
        data,
    };
    StoredEvent::new(event, Time::default())
}

fn test(test: TestKind, result: TestOutcome) -> EventData {
    EventData::TestResult { test, result }
}

fn positive() -> EventData {
    test(TestKind::NucleicAcid, TestOutcome::Positive)
}

fn negative() -> EventData {
    test(TestKind::NucleicAcid, TestOutcome::Negative)
}

fn assigned(colour: Colour, reason: &str, until: Option<u32>) -> EventData {
    EventData::ColourAssignment { colour, reason: reason.into(), until: until.map(at) }
}

/// Data of every kind, tests most often.
fn any_data() -> impl Strategy<Value = EventData> {
    Union::new_weighted(EventKind::OF_AGENCIES.map(weighted_data).to_vec())
}

fn weighted_data(kind: EventKind) -> (u32, BoxedStrategy<EventData>) {
    match kind {
        EventKind::TestResult => {
            let result = prop_oneof![
                2 => Just(TestOutcome::Negative),
                2 => Just(TestOutcome::Positive),
                4 => select(TestOutcome::ALL.to_vec()),
            ];
            (6, (select(TestKind::ALL.to_vec()), result).prop_map(|(t, r)| test(t, r)).boxed())
        }
        EventKind::ColourAssignment => {
            let data = (select(Colour::ASSIGNABLE.to_vec()), option::of(0..600u32));
            (2, data.prop_map(|(colour, until)| assigned(colour, "quarantine", until)).boxed())
        }
        EventKind::Vaccination => {
            let dose = |dose| EventData::Vaccination { vaccine: "208".into(), dose: Some(dose) };
            (1, (0..4u8).prop_map(dose).boxed())
        }
        EventKind::Identity => {
            let identity =
                |died: Option<u32>| EventData::Identity { name: "张*".into(), born: None, deceased_at: died.map(at) };
            (1, option::weighted(0.1, 0..600u32).prop_map(identity).boxed())
        }
        EventKind::Retraction => {
            let retraction = |n: u32| EventData::Retraction { event_id: n.to_string(), why: "mistaken".into() };
            (1, (0..8u32).prop_map(retraction).boxed())
        }
        EventKind::SessionEnd => {
            let end = |(id, started): (Option<u64>, u32)| EventData::SessionEnd { sessions: one_end(id, started) };
            (1, (option::weighted(0.9, 0..30u64), 0..400u32).prop_map(end).boxed())
        }
        EventKind::Phone => {
            let change = |(id, starts): (u64, bool)| {
                let name = id.to_string();
                EventData::Phone { id, change: if starts { PhoneChange::Started { name } } else { PhoneChange::Ended } }
            };
            (1, (0..20u64, any::<bool>()).prop_map(change).boxed())
        }
        EventKind::Guardianship => {
            let start = |(guardian, until): (u8, Option<u32>)| {
                let (guardian, until) = (SubjectId::from_bytes([guardian; 16]), until.map(at));
                EventData::Guardianship { guardian, change: GuardianshipChange::Started { until } }
            };
            (1, (2..5u8, option::of(0..600u32)).prop_map(start).boxed())
        }
        EventKind::Ward => {
            let notice = |(ward, is_over)| EventData::Ward { ward: SubjectId::from_bytes([ward; 16]), is_over };
            (1, (2..5u8, any::<bool>()).prop_map(notice).boxed())
        }
    }
}

/// What citizens write about themselves.
fn any_own_data() -> impl Strategy<Value = EventData> {
    let kinds = [EventKind::SessionEnd, EventKind::Phone, EventKind::Guardianship, EventKind::Ward];
    let of_guardian = (2..5u8, 0..20u64, any::<bool>()).prop_map(|(guardian, id, ends)| {
        let guardian = SubjectId::from_bytes([guardian; 16]);
        if ends {
            return EventData::Guardianship { guardian, change: GuardianshipChange::Ended };
        }
        EventData::Phone { id, change: PhoneChange::StartedByGuardian { guardian, name: id.to_string() } }
    });
    Union::new(kinds.map(|kind| weighted_data(kind).1).into_iter().chain([of_guardian.boxed()]))
}

/// An event that a citizen wrote.
pub(super) fn own(id: &str, hours: u32, data: EventData) -> StoredEvent {
    let event = Event { agency: CITIZEN.into(), document: String::new(), ..event(id, 0, hours, data).event };
    StoredEvent::new(event, Time::default())
}

/// Few ids and revisions, so that corrections, conflicts and retractions collide.
fn any_events() -> impl Strategy<Value = Vec<StoredEvent>> {
    let one = (0..8u32, 0..3u64, 0..400u32, any_data()).prop_map(|(id, rev, h, d)| event(&id.to_string(), rev, h, d));
    vec(one, 0..14)
}

/// The colour at `now`, from the effective events, by the text of the rules.
fn oracle(events: &[StoredEvent], rules: &Rules, now: Time) -> Colour {
    let mut distinct: Vec<&StoredEvent> = events.iter().collect();
    distinct.sort_by_key(|e| e.key());
    distinct.dedup_by_key(|e| e.key());
    let (effective, _) = super::effective(&distinct, rules);
    let negatives = |after: Time| {
        let later = move |e: &&&Event| e.data == negative() && e.occurred_at > after && e.occurred_at <= now;
        effective.iter().filter(later).map(|e| e.occurred_at).collect::<Vec<_>>()
    };
    let colours = effective.iter().map(|e| match &e.data {
        EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive } => {
            let later = negatives(e.occurred_at);
            let cleared = later.iter().any(|a| later.iter().any(|b| b.since(*a) >= DAY));
            let counts = e.occurred_at <= now && now.since(e.occurred_at) < DAY * 7 && !cleared;
            if counts { Colour::Red } else { Colour::Green }
        }
        EventData::TestResult { test: TestKind::Antigen, result: TestOutcome::Positive } => {
            let cleared = !negatives(e.occurred_at).is_empty();
            let counts = e.occurred_at <= now && now.since(e.occurred_at) < DAY * 7 && !cleared;
            if counts { Colour::Yellow } else { Colour::Green }
        }
        EventData::ColourAssignment { colour, until, .. } => {
            let counts = e.occurred_at <= now && until.is_none_or(|u| now < u);
            if counts { *colour } else { Colour::Green }
        }
        EventData::Identity { deceased_at: Some(died), .. } if *died <= now => Colour::None,
        EventData::Identity { .. }
        | EventData::TestResult { .. }
        | EventData::Vaccination { .. }
        | EventData::Retraction { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => Colour::Green,
    });
    colours.max().unwrap_or(Colour::Green)
}

fn colour(view: &View, hours: u32) -> Colour {
    view.colour_at(at(hours)).colour()
}

proptest! {
    #[test]
    fn what_citizens_write_changes_nothing_else(
        events in any_events(),
        ends in vec((0..8u32, any_own_data()), 0..40),
    ) {
        let rules = Rules::built_in();
        let alone = derive(&events, &rules);
        let ends = ends.into_iter().map(|(hour, data)| own("end", hour, data));
        let all: Vec<_> = events.into_iter().chain(ends).collect();
        let together = derive(&all, &rules);
        prop_assert!(View::decode(&together.encode()).unwrap() == together);
        let entries = together.ended_sessions.sessions.len()
            + usize::from(together.ended_sessions.through.is_some())
            + together.phones.open.len();
        prop_assert!(entries <= crate::ended_sessions::MAX_ENTRIES);
        let reversed = derive(&all.iter().rev().cloned().collect::<Vec<_>>(), &rules);
        prop_assert!(reversed == together);
        let subject = together.subject;
        let without = |view: View| View {
            ended_sessions: EndedSessions::default(),
            phones: Phones::default(),
            guardianships: Guardianships::default(),
            ..view
        };
        let alone = View { subject, events: together.events, ..alone };
        prop_assert!(without(alone) == without(together), "they changed more than sessions, phones and guardianships");
    }

    #[test]
    fn nothing_that_is_over_comes_back_and_whatever_restricts_more_counts(
        events in any_events(),
        ends in vec((0..8u32, any_own_data()), 0..60),
        more in any_events(),
    ) {
        let rules = Rules::built_in();
        // So that there is a phone.
        let start = PhoneChange::Started { name: "x".into() };
        let mut all = vec![event("phone", 0, 0, EventData::Phone { id: 99, change: start })];
        all.extend(events);
        let mut before = derive(&all, &rules);
        for (hour, data) in ends {
            all.push(own("end", hour, data));
            let after = derive(&all, &rules);
            prop_assert!(after.ended_sessions.through >= before.ended_sessions.through);
            let known: Vec<_> = before.phones.open.iter().map(|phone| phone.id).collect();
            let last = &all[all.len() - 1].event.data;
            let started = matches!(last, EventData::Phone { change: PhoneChange::Started { .. }, .. });
            let back = after.phones.open.iter().filter(|phone| !known.contains(&phone.id)).count();
            prop_assert!(back <= usize::from(started));
            prop_assert_eq!(after.phones.worsenings, before.phones.worsenings);
            before = after;
        }
        for one in more {
            all.push(one);
            let after = derive(&all, &rules);
            prop_assert!(after.phones.worsenings >= before.phones.worsenings);
            // What was before a timeline began nobody is shown.
            let begin = [&before, &after].iter().filter_map(|view| view.timeline.first()).map(|first| first.from).max();
            let mut shown = (0..1_300).step_by(7).filter(|hours| begin.is_none_or(|begin| at(*hours) >= begin));
            let is_worse = shown.any(|hours| colour(&after, hours) > colour(&before, hours));
            prop_assert!(!is_worse || before.timeline.is_empty() || after.phones.worsenings > before.phones.worsenings);
            before = after;
        }
    }

    #[test]
    fn order_and_repetition_of_events_do_not_change_the_view(
        events in any_events(), seed in any::<u64>(), repeat in 0..14usize
    ) {
        let rules = Rules::built_in();
        let mut shuffled = events.clone();
        shuffled.extend(events.iter().take(repeat).cloned());
        let len = shuffled.len().max(1);
        for i in 0..shuffled.len() {
            shuffled.swap(i, (seed.rotate_left(i as u32 * 7) % len as u64) as usize);
        }
        prop_assert!(derive(&events, &rules) == derive(&shuffled, &rules));
    }

    #[test]
    fn more_events_extend_the_event_set(events in any_events(), more in any_events()) {
        let rules = Rules::built_in();
        let mut all = events.clone();
        all.extend(more);
        let (before, after) = (derive(&events, &rules).events, derive(&all, &rules).events);
        prop_assert!(after.count >= before.count);
        // The digest grows by exactly the new events.
        let known: std::collections::BTreeSet<_> = events.iter().map(StoredEvent::key).collect();
        let new: std::collections::BTreeMap<_, _> =
            all.iter().filter(|e| !known.contains(&e.key())).map(|e| (e.key(), e.hash)).collect();
        prop_assert_eq!(new.values().fold(before, |set, hash| set.with(*hash)), after);
    }

    #[test]
    fn the_colour_at_any_time_equals_the_oracles(events in any_events(), hours in 0..1200u32) {
        let rules = Rules::built_in();
        let view = derive(&events, &rules);
        if view.timeline.first().is_some_and(|s| s.from <= at(hours)) {
            prop_assert_eq!(colour(&view, hours), oracle(&events, &rules, at(hours)));
        }
    }

    #[test]
    fn the_conclusive_test_is_the_newest_one_of_the_effective_events(events in any_events()) {
        let rules = Rules::built_in();
        let mut distinct: Vec<&StoredEvent> = events.iter().collect();
        distinct.sort_by_key(|e| e.key());
        distinct.dedup_by_key(|e| e.key());
        let (effective, _) = super::effective(&distinct, &rules);
        let view = derive(&events, &rules);
        for kind in TestKind::ALL {
            let of_kind = [TestOutcome::Negative, TestOutcome::Positive].map(|result| {
                let told = effective.iter().filter(|e| e.data == test(kind, result)).map(|e| (e.occurred_at, result));
                told.max()
            });
            let newest = view.newest_conclusive(kind).map(|test| (test.sampled_at, test.result));
            prop_assert_eq!(newest, of_kind.into_iter().flatten().max());
        }
    }

    #[test]
    fn the_timeline_begins_no_later_than_the_newest_event(events in any_events()) {
        let view = derive(&events, &Rules::built_in());
        let newest = events.iter().map(|e| e.event.occurred_at).max();
        prop_assert!(view.timeline.is_sorted_by(|a, b| a.from < b.from));
        let is_dated = events
            .iter()
            .any(|e| e.event.data.is_about_health() && !matches!(e.event.data, EventData::Retraction { .. }));
        prop_assert_eq!(!view.timeline.is_empty(), is_dated);
        prop_assert!(view.timeline.first().is_none_or(|first| Some(first.from) <= newest));
    }

    #[test]
    fn codecs_round_trip_and_noise_never_panics(events in any_events(), noise in vec(any::<u8>(), 0..64)) {
        let view = derive(&events, &Rules::built_in());
        prop_assert!(View::decode(&view.encode()).as_ref() == Ok(&view));
        for stored in &events {
            prop_assert!(StoredEvent::decode(&stored.encode()).as_ref() == Ok(stored));
        }
        let _ = (View::decode(&noise), StoredEvent::decode(&noise), crate::change::Change::decode(&noise));
        let mut longer = view.encode().to_vec();
        longer.push(0);
        prop_assert!(View::decode(&longer).is_err());
    }
}

#[test]
fn a_positive_is_red_for_a_week_or_until_two_negatives_a_day_apart() {
    let rules = Rules::built_in();
    let alone = derive(&[event("p", 0, 0, positive())], &rules);
    assert_eq!(
        (colour(&alone, 0), colour(&alone, 167), colour(&alone, 168)),
        (Colour::Red, Colour::Red, Colour::Green)
    );
    let close = [event("p", 0, 0, positive()), event("a", 0, 30, negative()), event("b", 0, 53, negative())];
    assert_eq!(colour(&derive(&close, &rules), 60), Colour::Red);
    let apart = [event("p", 0, 0, positive()), event("a", 0, 30, negative()), event("b", 0, 54, negative())];
    assert_eq!(
        (colour(&derive(&apart, &rules), 53), colour(&derive(&apart, &rules), 54)),
        (Colour::Red, Colour::Green)
    );
}

#[test]
fn a_retraction_begins_no_timeline_and_registers_no_subject() {
    let rules = Rules::built_in();
    let retraction = EventData::Retraction { event_id: "t".into(), why: "cancelled".into() };
    let timeless = {
        let mut event = event("t", 1, 0, retraction).event;
        event.occurred_at = Time::default();
        StoredEvent::new(event, Time::default())
    };
    let alone = derive(std::slice::from_ref(&timeless), &rules);
    assert_eq!((alone.colour_at(at(0)).reason(), alone.events.count), ("not_registered", 1));
    let retracted = derive(&[event("t", 0, 5, negative()), timeless], &rules);
    assert_eq!(retracted.timeline[0].from, at(5), "not 1970");
}

#[test]
fn a_correction_or_retraction_lifts_a_restriction_and_an_inconclusive_test_changes_nothing() {
    let rules = Rules::built_in();
    let corrected = [event("p", 0, 0, positive()), event("p", 1, 0, negative())];
    assert_eq!(colour(&derive(&corrected, &rules), 1), Colour::Green);
    let retracted = [
        event("p", 0, 0, positive()),
        event("r", 0, 1, EventData::Retraction { event_id: "p".into(), why: "mixed up".into() }),
    ];
    assert_eq!(colour(&derive(&retracted, &rules), 1), Colour::Green);
    let view = derive(&[event("i", 0, 0, test(TestKind::NucleicAcid, TestOutcome::Inconclusive))], &rules);
    assert_eq!((colour(&view, 1), view.tests.len()), (Colour::Green, 1));
}

#[test]
fn of_two_contents_of_one_revision_the_more_restrictive_counts_and_conflict_is_set() {
    let raced = [event("p", 0, 0, positive()), event("p", 0, 0, negative())];
    let view = derive(&raced, &Rules::built_in());
    assert_eq!((colour(&view, 1), view.conflict, view.events.count), (Colour::Red, true, 2));
}

#[test]
fn a_dose_reported_twice_counts_once_and_a_single_dose_vaccine_completes_with_one() {
    let rules = Rules::built_in();
    let dose = |vaccine: &str, dose| EventData::Vaccination { vaccine: vaccine.into(), dose };
    let reported_twice = [event("a", 0, 1, dose("208", None)), event("b", 0, 2, dose("208", Some(1)))];
    let view = derive(&reported_twice, &rules).vaccination;
    assert_eq!((view.doses, view.complete), (1, false));
    let two = [event("a", 0, 0, dose("208", Some(1))), event("b", 0, 600, dose("207", Some(2)))];
    assert!(derive(&two, &rules).vaccination.complete);
    assert!(derive(&[event("a", 0, 0, dose("212", None))], &rules).vaccination.complete);
    assert_eq!(derive(&[event("a", 0, 0, dose("140", None))], &rules).vaccination.doses, 0);
}

fn dose(vaccine: &str, dose: Option<u8>) -> EventData {
    EventData::Vaccination { vaccine: vaccine.into(), dose }
}

/// Doses given on days, each with a vaccine and a stated number: the number of doses, and whether they are complete.
fn doses(given: &[(u32, &str, Option<u8>)]) -> (u8, bool) {
    let events = given
        .iter()
        .enumerate()
        .map(|(n, &(day, vaccine, stated))| event(&n.to_string(), 0, day * 24, dose(vaccine, stated)));
    let view = derive(&events.collect::<Vec<_>>(), &Rules::built_in()).vaccination;
    (view.doses, view.complete)
}

#[test]
fn a_dose_counts_after_the_minimal_interval_and_a_stated_number_is_a_lower_bound() {
    let (first, second, third) = (Some(1), Some(2), Some(3));
    assert_eq!(doses(&[(0, "212", first), (213, "212", first)]), (2, true), "a booster in a series of its own");
    assert_eq!(doses(&[(0, "208", first), (213, "207", first)]), (2, true));
    assert_eq!(doses(&[(0, "208", third)]), (3, true), "the doses before were not sent");
    assert_eq!(doses(&[(0, "208", None), (1, "208", None)]), (1, false), "a date, and elsewhere a time");
    assert_eq!(doses(&[(0, "208", first), (13, "208", None)]), (1, false));
    assert_eq!(doses(&[(0, "208", first), (14, "208", None)]), (2, true));
    assert_eq!(
        doses(&[(0, "208", first), (5, "208", second), (18, "208", None)]),
        (2, true),
        "13 days after the second"
    );
    assert_eq!(doses(&[(0, "208", first), (5, "208", second), (19, "208", None)]), (3, true));
    assert_eq!(doses(&[(0, "208", None), (9, "208", None), (18, "208", None)]), (2, true), "18 days after the first");
    assert_eq!(doses(&[(0, "208", Some(20)), (20, "208", None)]), (21, true));
    // Stored before such times were refused.
    let before_the_disease = StoredEvent::new(
        Event { occurred_at: Time::default(), ..event("d", 0, 0, dose("208", second)).event },
        Time::default(),
    );
    assert_eq!(derive(&[before_the_disease], &Rules::built_in()).vaccination.doses, 0);
}

proptest! {
    #[test]
    fn doses_do_not_depend_on_the_order_of_arrival(
        given in vec((0..60u32, select(vec!["207", "208", "212"]), option::of(1..4u8)), 1..8), seed in any::<u64>()
    ) {
        let mut shuffled = given.clone();
        shuffled.sort_by_key(|one| (seed.wrapping_mul(u64::from(one.0) + 1), one.2));
        prop_assert_eq!(doses(&given), doses(&shuffled));
        let reversed: Vec<_> = given.iter().rev().copied().collect();
        prop_assert_eq!(doses(&given), doses(&reversed));
        let stated = given.iter().filter_map(|one| one.2).max().unwrap_or(1);
        let (counted, complete) = doses(&given);
        prop_assert!(counted >= stated && usize::from(counted) < given.len() + usize::from(stated));
        // One dose more never takes one away.
        let (more, completed) = doses(&[&given[..], &[(70, "208", None)]].concat());
        prop_assert!(more >= counted && completed >= complete);
    }
}

#[test]
fn a_conclusive_test_is_known_behind_any_number_of_others() {
    let nucleic_acid = |hours, result| event(&format!("t-{hours}"), 0, hours, test(TestKind::NucleicAcid, result));
    let mut events = vec![nucleic_acid(1, TestOutcome::Positive), nucleic_acid(20, TestOutcome::Negative)];
    events.extend((21..30).map(|hours| nucleic_acid(hours, TestOutcome::Inconclusive)));
    events.push(event("a", 0, 25, test(TestKind::Antigen, TestOutcome::Positive)));
    let view = derive(&events, &Rules::built_in());
    assert!(view.tests.iter().all(|shown| shown.sampled_at != at(20)), "it is not shown");
    let newest = |kind| view.newest_conclusive(kind).map(|test| (test.result, test.sampled_at));
    assert_eq!(newest(TestKind::NucleicAcid), Some((TestOutcome::Negative, at(20))));
    assert_eq!(newest(TestKind::Antigen), Some((TestOutcome::Positive, at(25))));
    // At one moment the more restrictive result counts as the newer one.
    events.push(event("b", 0, 20, positive()));
    let both = derive(&events, &Rules::built_in()).newest_conclusive(TestKind::NucleicAcid);
    assert_eq!(both.map(|test| test.result), Some(TestOutcome::Positive));
}

#[test]
fn a_sample_that_several_systems_report_takes_one_place() {
    let told = |id: &str, agency: &str, hours, result| {
        let event = event(id, 0, hours, test(TestKind::NucleicAcid, result)).event;
        StoredEvent::new(Event { agency: agency.into(), ..event }, Time::default())
    };
    let negative = TestOutcome::Negative;
    let mut events: Vec<_> = ["lab7", "lab8", "registry"].map(|agency| told("t", agency, 30, negative)).into();
    events.push(told("u", "registry", 30, negative));
    events.extend([told("v", "lab7", 20, negative), told("w", "lab7", 10, negative)]);
    let shown = derive(&events, &Rules::built_in()).tests;
    let shown: Vec<_> = shown.iter().map(|test| test.sampled_at).collect();
    assert_eq!(shown, [at(30), at(20), at(10)]);
    events.push(told("x", "lab7", 30, TestOutcome::Inconclusive));
    assert_eq!(derive(&events, &Rules::built_in()).tests[0].result, TestOutcome::Inconclusive, "another result");
}

#[test]
fn of_one_revision_the_highest_rank_counts() {
    let rules = Rules::built_in();
    let ranked = |rank, data| StoredEvent::ranked(event("t", 0, 0, data).event, rank, Time::default());
    let (first, corrected) = (ranked(Rank::Original, positive()), ranked(Rank::Corrected, negative()));
    let retraction = EventData::Retraction { event_id: "t".into(), why: "entered in error".into() };
    let void = ranked(Rank::EnteredInError, retraction);
    let colour = |events: &[&StoredEvent]| {
        let view = derive(&events.iter().copied().cloned().collect::<Vec<_>>(), &rules);
        assert!(!view.conflict);
        view.colour_at(at(1)).colour()
    };
    assert_eq!(colour(&[&first]), Colour::Red);
    for events in [[&first, &corrected], [&corrected, &first]] {
        assert_eq!(colour(&events), Colour::Green);
    }
    assert_eq!(colour(&[&void, &ranked(Rank::Corrected, positive())]), Colour::Green);
    // A later revision counts whatever its rank.
    let later = event("t", 1, 0, positive());
    assert_eq!(colour(&[&corrected, &void, &later]), Colour::Red);
    for stored in [first, corrected, void, later] {
        assert!(StoredEvent::decode(&stored.encode()).is_ok_and(|decoded| decoded == stored));
    }
}

#[test]
fn until_is_the_next_change_of_colour_and_a_deceased_subject_has_no_colour() {
    let rules = Rules::built_in();
    let events = [
        event("i", 0, 0, EventData::Identity { name: "张*".into(), born: None, deceased_at: None }),
        event("q", 0, 10, assigned(Colour::Red, "quarantine", Some(40))),
        event("c", 0, 10, assigned(Colour::Red, "close_contact", Some(60))),
    ];
    let view = derive(&events, &rules);
    let now = view.colour_at(at(20));
    assert_eq!((now.colour(), now.reason(), now.until), (Colour::Red, "close_contact", Some(at(60))));
    let mut dead = events.to_vec();
    dead.push(event("n", 0, 0, negative()));
    dead.push(event("i", 1, 0, EventData::Identity { name: "张*".into(), born: None, deceased_at: Some(at(5)) }));
    let view = derive(&dead, &rules);
    assert_eq!((colour(&view, 1), colour(&view, 6), colour(&view, 20)), (Colour::Green, Colour::None, Colour::None));
    assert_eq!(derive(&[], &rules).colour_at(at(0)).reason(), "not_registered");
}

#[test]
fn the_view_of_a_full_subject_is_small() {
    let rules = Rules::built_in();
    let data = |n: u32| if n.is_multiple_of(3) { positive() } else { negative() };
    let events: Vec<_> = (0..2_000).map(|n| event(&n.to_string(), 0, n, data(n))).collect();
    let view = derive(&events, &rules);
    assert!(view.encode().len() < 64 * 1024, "{}", view.encode().len());
    assert!(view.timeline[0].from >= at(2_000).minus(DAY * 40));
}

/// The end of one session that started then, or of all up to it.
fn one_end(id: Option<u64>, started: u32) -> EndedSessions {
    let ended = id.map(|id| EndedSession { started_at: at(started), id, expires_at: at(started + 720) });
    let through = if ended.is_none() { Some(at(started)) } else { None };
    EndedSessions { through, sessions: ended.into_iter().collect() }
}

#[test]
fn a_session_that_was_ended_stays_ended_whatever_follows() {
    let rules = Rules::built_in();
    let end = |id: u64| EventData::SessionEnd { sessions: one_end(Some(id), 1) };
    let ended = |events: &[StoredEvent]| derive(events, &rules).ended_sessions.sessions.iter().map(|s| s.id).collect();
    let mut events = vec![event("e-1", 0, 5, end(1))];
    assert_eq!((ended(&events), derive(&events, &rules).colour_at(at(9)).reason()), (vec![1], "not_registered"));
    // Neither a retraction nor another content under the same name takes an end back.
    events.push(event("r", 0, 6, EventData::Retraction { event_id: "e-1".into(), why: "mistaken".into() }));
    events.push(event("e-1", 1, 6, end(2)));
    let ids: Vec<u64> = ended(&events);
    assert_eq!((ids, derive(&events, &rules).conflict), (vec![2, 1], false));
}
