//! Which tokens of phones a new view makes out of date: a pure function of the views.

use std::ops::Range;
use std::time::Duration;

use yima_schema::code::{MAX_TOKEN_LIFETIME, SLOT, TokenKeys};
use yima_schema::event::StoredEvent;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::Denial;

/// A read node may issue tokens of the old view for a while yet, by a view that is stale. Scanners without a network
/// refuse tokens of data that is older than a setting of at most an hour, rounded to quarters of an hour.
pub(crate) const STILL_ISSUED: Duration = Duration::from_secs(2 * 3_600);

/// The denials of one fold.
#[derive(Clone, Copy)]
pub(super) struct Denying<'a> {
    /// The keys of the tags.
    pub keys: &'a TokenKeys,
    /// The moment of the fold.
    pub now: Time,
}

impl Denying<'_> {
    /// The tokens that a new view makes out of date: of each phone of the old view those issued before the number of
    /// worsenings rose; those issued since too if the phone is over, or if the colour became more restrictive without
    /// an event, by other rules. Some more are harmless.
    ///
    /// Without an old view, as after its loss, those of the new one's phones, unless `events` are older than any token.
    pub(super) fn denials(
        &self,
        subject: SubjectId,
        old: Option<&View>,
        new: &View,
        events: &[StoredEvent],
    ) -> Vec<Denial> {
        let after = new.phones.worsenings;
        match old {
            Some(old) => {
                let before = old.phones.worsenings;
                let is_worse = after <= before && self.is_worse(old, new);
                let of_phone = |id: u64| {
                    let is_over = new.all_phones().all(|phone| phone.id != id);
                    let end = if is_worse || is_over { after.max(before) + 1 } else { after };
                    self.tags(subject, id, before..end)
                };
                old.all_phones().flat_map(|phone| of_phone(phone.id)).collect()
            }
            None if self.has_recent(events) => {
                new.all_phones().flat_map(|phone| self.tags(subject, phone.id, 0..after)).collect()
            }
            None => Vec::new(),
        }
    }

    /// Whether the colour is more restrictive at a moment at which a token of the old view may be shown.
    fn is_worse(&self, old: &View, new: &View) -> bool {
        let begins = old.timeline.iter().chain(&new.timeline).map(|segment| segment.from);
        let moments = begins.filter(|from| *from > self.now && *from < self.end()).chain([self.now]);
        let mut moments = moments.map(|at| (old.colour_at(at).colour(), new.colour_at(at).colour()));
        moments.any(|(old, new)| new > old)
    }

    /// Whether one of the events came within the life of a token.
    fn has_recent(&self, events: &[StoredEvent]) -> bool {
        events.iter().any(|event| event.received_at > self.now.minus(MAX_TOKEN_LIFETIME + STILL_ISSUED))
    }

    /// The tags of a phone in all slots of tokens of the old view.
    fn tags(&self, subject: SubjectId, phone: u64, numbers: Range<u32>) -> impl Iterator<Item = Denial> {
        let slot = |time: Time| time.as_secs().div_euclid(SLOT.as_secs() as i64);
        let slots = slot(self.now)..=slot(self.end());
        let pairs = numbers.flat_map(move |number| slots.clone().map(move |slot| (slot, number)));
        pairs.map(move |(slot, number)| Denial { slot, tag: self.keys.denial_tag(subject, phone, slot, number) })
    }

    fn end(&self) -> Time {
        self.now.plus(MAX_TOKEN_LIFETIME + STILL_ISSUED)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use yima_schema::event::{Colour, Event, EventData, TestKind, TestOutcome};
    use yima_schema::phones::{Phone, Phones};
    use yima_schema::subject::PseudonymKey;
    use yima_schema::time::{DAY, HOUR};
    use yima_schema::view::Segment;

    use super::*;

    fn subject() -> SubjectId {
        SubjectId::from_bytes([9; 16])
    }

    fn now() -> Time {
        Time::from_secs(1_796_000_400)
    }

    fn keys() -> TokenKeys {
        TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32]))
    }

    /// A view with phones of these ids, a number of worsenings, and colours from moments on.
    fn view(phones: &[u64], worsenings: u32, colours: &[(Time, Colour)]) -> View {
        let phone = |id: &u64| Phone { started_at: Time::EPOCH, id: *id, name: String::new() };
        let segment = |(from, colour): &(Time, Colour)| Segment {
            from: *from,
            colour: *colour,
            reason: "r".into(),
            agency: None,
        };
        View {
            phones: Phones::new(phones.iter().map(phone), |_| false, worsenings),
            timeline: colours.iter().map(segment).collect(),
            ..View::default()
        }
    }

    fn event(received_at: Time) -> StoredEvent {
        let data = EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative };
        let (agency, id, document) = ("lab-7".into(), "1".into(), "E1*****78".into());
        let event = Event { subject: subject(), agency, id, revision: 0, document, occurred_at: received_at, data };
        StoredEvent::new(event, received_at)
    }

    /// Phone and number of the denials of this slot; each is in all five or six slots.
    fn denied(old: Option<&View>, new: &View, received_at: Time) -> BTreeSet<(u64, u32)> {
        let keys = keys();
        let denials = Denying { keys: &keys, now: now() }.denials(subject(), old, new, &[event(received_at)]);
        let slot = now().as_secs() / 21_600;
        let slots: BTreeSet<_> = denials.iter().map(|denial| denial.slot).collect();
        assert!(denials.is_empty() || slots == (slot..=slot + 4).collect() || slots == (slot..=slot + 5).collect());
        let candidates = (1..4).flat_map(|phone| (0..9).map(move |number| (phone, number)));
        let is_denied = |(phone, number): &(u64, u32)| {
            let has = |slot| denials.contains(&Denial { slot, tag: keys.denial_tag(subject(), *phone, slot, *number) });
            let all = slots.iter().filter(|slot| has(**slot)).count();
            assert!(all == 0 || all == slots.len());
            all > 0
        };
        candidates.filter(is_denied).collect()
    }

    #[test]
    fn tokens_of_before_a_worsening_are_denied_and_those_issued_afterwards_are_not() {
        let old = view(&[1, 2], 3, &[(Time::EPOCH, Colour::Green)]);
        let new = view(&[1, 2, 3], 5, &[(Time::EPOCH, Colour::Red)]);
        assert_eq!(denied(Some(&old), &new, now()), [(1, 3), (1, 4), (2, 3), (2, 4)].into());
    }

    #[test]
    fn all_tokens_of_a_phone_that_is_over_are_denied_and_no_other_phones() {
        let (old, new) = (view(&[1, 2], 3, &[]), view(&[2], 3, &[]));
        assert_eq!(denied(Some(&old), &new, now()), [(1, 3)].into());
        assert_eq!(denied(Some(&old), &view(&[2], 4, &[]), now()), [(1, 3), (1, 4), (2, 3)].into());
    }

    #[test]
    fn without_a_worsening_event_a_more_restrictive_colour_denies_until_the_end_of_tokens() {
        let at = |colours: &[(Time, Colour)]| view(&[1], 3, colours);
        let old = at(&[(Time::EPOCH, Colour::Green), (now().plus(HOUR), Colour::Yellow)]);
        for (colours, expected) in [
            (vec![(Time::EPOCH, Colour::Green), (now().plus(HOUR), Colour::Yellow)], false),
            (vec![(Time::EPOCH, Colour::Green)], false),
            (vec![(Time::EPOCH, Colour::Yellow)], true),
            (vec![(Time::EPOCH, Colour::Green), (now().plus(HOUR), Colour::Red)], true),
            (vec![(Time::EPOCH, Colour::Red), (now().minus(HOUR), Colour::Green)], false),
            (vec![(Time::EPOCH, Colour::Green), (now().plus(HOUR / 2), Colour::Yellow)], true),
            (vec![(Time::EPOCH, Colour::Green), (now().plus(DAY * 2), Colour::Red)], false),
        ] {
            let expected = if expected { [(1, 3)].into() } else { BTreeSet::new() };
            assert_eq!(denied(Some(&old), &at(&colours), now()), expected, "{:?}", colours[0]);
        }
    }

    #[test]
    fn without_the_old_view_recent_events_deny_all_earlier_numbers() {
        let new = view(&[1], 2, &[]);
        assert_eq!(denied(None, &new, now().minus(HOUR)), [(1, 0), (1, 1)].into());
        assert!(denied(None, &new, now().minus(DAY * 2)).is_empty());
        assert!(denied(None, &view(&[1], 0, &[]), now()).is_empty());
    }
}
