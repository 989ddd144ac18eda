//! The timeline: each event gives a colour for a span of time; of the spans in force the most restrictive wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Colour, DerivedReason, Event, EventData, StoredEvent, TestKind, TestOutcome};
use crate::rules::{PositiveRule, Rules};
use crate::time::Time;
use crate::view::Segment;

/// The effect of one event: a colour during `from..until`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span<'a> {
    // The order of the fields is the order of precedence: of two spans in force the greater wins.
    colour: Colour,
    until: Time,
    from: Reverse<Time>,
    agency: Option<&'a str>,
    reason: &'a str,
}

/// The segments of a subject, without those that ended long before the newest event. `all` bounds the past, `effective`
/// decides the colours. An identity's time may be a date of birth, so the timeline begins with it only if there is no
/// other event. A retraction's time may mean nothing, so the timeline never begins with it: a subject with only
/// retractions has no timeline.
pub(super) fn timeline(all: &[StoredEvent], effective: &[&Event], rules: &Rules) -> Vec<Segment> {
    let dated = all.iter().map(|e| &e.event).filter(|e| !matches!(e.data, EventData::Retraction { .. }));
    let first = dated.map(|e| (matches!(e.data, EventData::Identity { .. }), e.occurred_at)).min();
    let last = all.iter().map(|e| e.event.occurred_at).max();
    let (Some((_, first)), Some(last)) = (first, last) else { return Vec::new() };
    let kept_from = last.minus(rules.timeline.history());
    let mut spans: Vec<Span> = spans(effective, rules).into_iter().filter(|s| s.until > kept_from).collect();
    spans.push(Span {
        colour: Colour::Green,
        until: Time::MAX,
        from: Reverse(first),
        agency: None,
        reason: DerivedReason::NoRestriction.as_str(),
    });
    // A sweep over time: spans begin and end at each edge, and the greatest of the spans in force wins.
    let mut edges: BTreeMap<Time, Vec<(bool, usize)>> = BTreeMap::new();
    for (n, span) in spans.iter().enumerate() {
        edges.entry(span.from.0).or_default().push((true, n));
        edges.entry(span.until).or_default().push((false, n));
    }
    let mut in_force: BTreeSet<(&Span, usize)> = BTreeSet::new();
    let mut segments: Vec<Segment> = Vec::new();
    for (from, changes) in edges.range(..Time::MAX) {
        for (begins, n) in changes {
            if *begins {
                in_force.insert((&spans[*n], *n));
            } else {
                in_force.remove(&(&spans[*n], *n));
            }
        }
        let Some((Span { colour, reason, agency, .. }, _)) = in_force.last() else { continue };
        let continues = segments
            .last()
            .is_some_and(|s| (s.colour, s.reason.as_str(), s.agency.as_deref()) == (*colour, reason, *agency));
        if !continues {
            let (reason, agency) = ((*reason).to_owned(), agency.map(str::to_owned));
            segments.push(Segment { from: *from, colour: *colour, reason, agency });
        }
    }
    let first_kept = segments.partition_point(|s| s.from <= kept_from).saturating_sub(1);
    segments.drain(..first_kept);
    segments
}

fn spans<'a>(effective: &[&'a Event], rules: &Rules) -> Vec<Span<'a>> {
    let mut negatives: Vec<Time> = effective
        .iter()
        .filter(|e| {
            matches!(e.data, EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative })
        })
        .map(|e| e.occurred_at)
        .collect();
    negatives.sort_unstable();
    let spans = effective.iter().filter_map(|event| {
        let span = |colour, reason, until| Span {
            colour,
            until,
            from: Reverse(event.occurred_at),
            agency: Some(event.agency.as_str()),
            reason,
        };
        match &event.data {
            EventData::TestResult { test, result: TestOutcome::Positive } => {
                let rule = rules.positive(*test);
                let reason = match test {
                    TestKind::NucleicAcid => DerivedReason::PositiveNucleicAcid,
                    TestKind::Antigen => DerivedReason::PositiveAntigen,
                };
                Some(span(rule.colour, reason.as_str(), ends(event.occurred_at, rule, &negatives)))
            }
            EventData::ColourAssignment { colour, reason, until } => {
                Some(span(*colour, reason.as_str(), until.unwrap_or(Time::MAX)))
            }
            EventData::Identity { deceased_at: Some(died), .. } => {
                let reason = DerivedReason::Deceased.as_str();
                Some(Span { from: Reverse(*died), ..span(Colour::None, reason, Time::MAX) })
            }
            EventData::Identity { deceased_at: None, .. }
            | EventData::TestResult { .. }
            | EventData::Vaccination { .. }
            | EventData::Retraction { .. }
            | EventData::SessionEnd { .. }
            | EventData::Phone { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => None,
        }
    });
    spans.filter(|s| s.from.0 < s.until).collect()
}

/// When the effect of a positive test ends: at its expiry, or at the negative that completes the series that clears it.
fn ends(sampled_at: Time, rule: &PositiveRule, negatives: &[Time]) -> Time {
    let expiry = sampled_at.plus(rule.lasts());
    let (mut counted, mut next_from) = (0, sampled_at);
    for negative in negatives.iter().filter(|t| **t > sampled_at && **t < expiry) {
        if counted == 0 || *negative >= next_from {
            counted += 1;
            next_from = negative.plus(rule.negatives_apart());
        }
        if counted == rule.cleared_by_negatives {
            return *negative;
        }
    }
    expiry
}
