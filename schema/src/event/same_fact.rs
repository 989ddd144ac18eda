//! Whether two events are the same fact although their content hashes differ: rows of earlier programs hashed the date
//! of birth, and names and numbers as they masked them.

use super::{Event, EventData, StoredEvent};
use crate::mask::is_han;

/// Words of a name that are compared: every mask shows as many.
const WORDS: usize = 8;

impl StoredEvent {
    /// Whether a store that has the other event takes this one for a duplicate: both have one subject, agency, id,
    /// revision and rank, and one content or one fact. Under that name any other content is a conflict.
    pub fn is_duplicate_of(&self, other: &Self) -> bool {
        let ((agency, id, revision, hash), (other_agency, other_id, other_revision, other_hash)) =
            (self.key(), other.key());
        (agency, id, revision) == (other_agency, other_id, other_revision)
            && self.event.subject == other.event.subject
            && (hash == other_hash || self.event.is_same_fact(&other.event))
    }
}

impl Event {
    /// Whether this event and another one differ at most in the form of their masked fields.
    pub fn is_same_fact(&self, other: &Self) -> bool {
        self.unmasked_fields() == other.unmasked_fields()
    }

    /// The event without its masked number, which the subject determines, and with the letters alone of a masked name.
    fn unmasked_fields(&self) -> Self {
        let mut event = Self { document: String::new(), ..self.clone() };
        if let EventData::Identity { name, .. } = &mut event.data {
            *name = initials(name);
        }
        event
    }
}

/// The first letters of a masked name's words, of a name in Han characters the first one. Words of one letter are left
/// out: some masks hide them, others do not.
fn initials(masked: &str) -> String {
    let whole: String;
    let words: Vec<&str> = if masked.chars().any(is_han) {
        whole = masked.split_whitespace().collect();
        vec![&whole]
    } else {
        masked.split_whitespace().collect()
    };
    let initial = |word: &str| word.chars().next().filter(|first| first.is_alphabetic() && word.chars().count() > 1);
    words.into_iter().take(WORDS).filter_map(initial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::event::{ContentHash, Rank, StoredEvent};
    use crate::subject::SubjectId;
    use crate::time::Time;

    fn identity(name: &str, born: Option<&str>, occurred_at: &str) -> Event {
        Event {
            subject: SubjectId::from_bytes([1; 16]),
            agency: "clinic-3".into(),
            id: "Patient/p1".into(),
            revision: 0,
            document: "610102********0016".into(),
            occurred_at: occurred_at.parse().unwrap(),
            data: EventData::Identity { name: name.into(), born: born.map(str::to_owned), deceased_at: None },
        }
    }

    #[test]
    fn masks_of_one_name_are_one_fact() {
        let event = |name| identity(name, None, "2026-09-21T07:30:00Z");
        for (one, other) in
            [("A*** L**", "A*** L**"), ("A L**", "* L**"), ("P A S S E D", "* * * * * *"), ("张**", "张*")]
        {
            assert!(event(one).is_same_fact(&event(other)), "{one} {other}");
        }
        for (one, other) in [("A*** L**", "B*** L**"), ("张**", "王**"), ("A***", "A*** L**")] {
            assert!(!event(one).is_same_fact(&event(other)), "{one} {other}");
        }
        let later = identity("张**", None, "2026-09-21T07:30:01Z");
        assert!(!event("张**").is_same_fact(&later));
    }

    #[test]
    fn a_duplicate_has_one_name_and_one_fact() {
        let stored = |event: Event, rank| StoredEvent::ranked(event, rank, Time::default());
        let event = |name| identity(name, None, "2026-09-21T07:30:00Z");
        let first = stored(event("张**"), Rank::Original);
        assert!(first.is_duplicate_of(&stored(event("张*"), Rank::Original)), "masked in another way");
        let other_subject = Event { subject: SubjectId::from_bytes([2; 16]), ..event("张**") };
        let others = [
            stored(event("王**"), Rank::Original),
            stored(event("张**"), Rank::Corrected),
            stored(Event { revision: 1, ..event("张**") }, Rank::Original),
            stored(Event { id: "Patient/p2".into(), ..event("张**") }, Rank::Original),
            stored(Event { agency: "clinic-4".into(), ..event("张**") }, Rank::Original),
            stored(other_subject, Rank::Original),
        ];
        assert!(others.iter().all(|other| !first.is_duplicate_of(other)));
    }

    #[test]
    fn a_stored_event_has_no_birth_date_and_its_hash_does_not_depend_on_one() {
        let stored = |born, at| StoredEvent::new(identity("张*", born, at), Time::default());
        let without = stored(None, "2026-09-21T07:30:00Z");
        for born in ["1990", "1990-03", "1990-03-07"] {
            let with = stored(Some(born), "2026-09-21T07:30:00Z");
            assert!(with == without && with.encode() == without.encode());
        }
        // A date of birth is no time of an identity, at any offset from UTC.
        for at in ["1990-03-07T00:00:00Z", "1990-03-06T16:00:00Z", "1990-03-07T08:00:00Z"] {
            assert_eq!(stored(Some("1990-03-07"), at).event.occurred_at, Time::default());
        }
        assert_eq!(stored(Some("1990-03"), "1990-03-01T00:00:00Z").event.occurred_at, Time::default());
        let day_later = "1990-03-08T00:00:01Z".parse().unwrap();
        assert_eq!(stored(Some("1990-03-07"), "1990-03-08T00:00:01Z").event.occurred_at, day_later);
    }

    #[test]
    fn a_row_that_kept_a_birth_date_is_read_without_it_and_has_to_be_replaced() {
        // postcard of an identity as earlier programs wrote it: with the date, and a hash over it.
        let event = identity("张*", None, "1990-03-07T00:00:00Z");
        let written = (Time::default(), ContentHash([7; 16]), &event);
        let bytes = codec::encode(1, &written);
        let born = [&[1, 10][..], b"1990-03-07"].concat();
        let end = bytes.len() - 2;
        assert_eq!(bytes[end..], [0, 0], "no date of birth, no death");
        let earlier = [&bytes[..end], &born, &[0]].concat();
        let read = StoredEvent::decode(&earlier).unwrap();
        assert!(read.kept_birth_date() && read.event.occurred_at == Time::default());
        let replaced = read.without_birth_date();
        assert!(!replaced.kept_birth_date() && replaced.event.is_same_fact(&read.event));
        assert!(!replaced.encode().windows(4).any(|bytes| bytes == b"1990"));
        assert!(StoredEvent::decode(&replaced.encode()).unwrap() == replaced);
    }
}
