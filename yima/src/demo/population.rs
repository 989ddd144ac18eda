//! A synthetic population: person `n` always has the same valid document number and the same events, dated before the
//! moment of seeding.

use std::time::Duration;

use yima_schema::event::{Colour, Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::resident_id::check_character;
use yima_schema::subject::{Document, DocumentType, PseudonymKey, SubjectId};
use yima_schema::time::{DAY, HOUR, Time};

/// The thirteen districts and counties of Xi'an (GB/T 2260).
const AREAS: [u32; 13] =
    [610102, 610103, 610104, 610111, 610112, 610113, 610114, 610115, 610116, 610117, 610118, 610122, 610124];
const SURNAMES: [char; 24] = [
    '王', '李', '张', '刘', '陈', '杨', '赵', '黄', '周', '吴', '徐', '孙', '马', '朱', '胡', '郭', '何', '高', '林',
    '罗', '郑', '梁', '谢', '宋',
];
/// Number of days of birth, from 1940-01-01 on, and of sequence numbers per day.
const DAYS: u64 = 29_220;
const SEQUENCES: u64 = 999;
/// Largest population.
pub const MAX_PEOPLE: u64 = 13 * DAYS * SEQUENCES;
/// A prime that does not divide `MAX_PEOPLE`: n ↦ n × this is one-to-one and scatters neighbouring n.
const SCATTER: u64 = 179_424_691;

/// The state of a person's record. The first people have one state each, for trying things out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Green, tested lately, two doses.
    Green,
    /// Yellow as a close contact.
    Yellow,
    /// Red after a positive test.
    Red,
    /// Green without a dose.
    Unvaccinated,
    /// Green, last tested five days ago.
    TestTooOld,
}

impl Profile {
    /// Every profile, in the order of the first people.
    pub const ALL: [Self; 5] = [Self::Green, Self::Yellow, Self::Red, Self::Unvaccinated, Self::TestTooOld];

    /// The name at the edge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Unvaccinated => "unvaccinated",
            Self::TestTooOld => "test_too_old",
        }
    }

    fn of(n: u64, dice: &mut Dice) -> Self {
        match (usize::try_from(n).ok().and_then(|n| Self::ALL.get(n)), dice.below(1_000)) {
            (Some(profile), _) => *profile,
            (None, 0..2) => Self::Red,
            (None, 2..8) => Self::Yellow,
            (None, 8..90) => Self::Unvaccinated,
            (None, 90..250) => Self::TestTooOld,
            (None, _) => Self::Green,
        }
    }
}

/// The document number of person `n`, which is below [`MAX_PEOPLE`].
///
/// # Panics
/// Never for such an `n`.
pub fn document_number(n: u64) -> String {
    let scattered = n.wrapping_mul(SCATTER) % MAX_PEOPLE;
    let (area, rest) = (scattered / (DAYS * SEQUENCES), scattered % (DAYS * SEQUENCES));
    let born = jiff::civil::date(1940, 1, 1).saturating_add(jiff::Span::new().days((rest / SEQUENCES) as i64));
    let digits = format!("{}{}{:03}", AREAS[area as usize], born.strftime("%Y%m%d"), rest % SEQUENCES + 1);
    let check = check_character(digits.as_bytes().try_into().expect("6 + 8 + 3 digits"));
    format!("{digits}{}", char::from(check))
}

/// The document of person `n`.
///
/// # Panics
/// Never for an `n` below [`MAX_PEOPLE`]: a test tries many.
pub fn document(n: u64) -> Document {
    Document::new(DocumentType::CnResidentId, &document_number(n)).expect("synthetic numbers are valid")
}

/// The profile of person `n`, and their events as of `loaded_at`.
pub fn person(n: u64, loaded_at: Time, pseudonyms: &PseudonymKey) -> (Profile, Vec<StoredEvent>) {
    let mut dice = Dice(n);
    let profile = Profile::of(n, &mut dice);
    let document = document(n);
    let mut record = Record {
        subject: pseudonyms.subject(&document),
        document: document.masked(),
        loaded_at,
        n,
        events: Vec::with_capacity(5),
    };
    let stars = if dice.below(3) == 0 { "*" } else { "**" };
    let name = format!("{}{stars}", SURNAMES[dice.below(SURNAMES.len() as u64) as usize]);
    record.add("police", DAY * 900, EventData::Identity { name, born: None, deceased_at: None });
    let doses = match profile {
        Profile::Unvaccinated => 0,
        Profile::Green | Profile::Yellow | Profile::Red | Profile::TestTooOld => 1 + dice.below(10).min(1) as u8,
    };
    for dose in 1..=doses {
        let vaccine = if dice.below(2) == 0 { "510" } else { "511" };
        let ago = DAY * (400 - 30 * u32::from(dose)) + HOUR * dice.below(200) as u32;
        record.add("clinic-3", ago, EventData::Vaccination { vaccine: vaccine.into(), dose: Some(dose) });
    }
    let negative = EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Negative };
    let hours_ago = |dice: &mut Dice, from, span| HOUR * (from + dice.below(span) as u32);
    match profile {
        Profile::Green | Profile::Unvaccinated => record.add("lab-7", hours_ago(&mut dice, 2, 40), negative),
        Profile::TestTooOld => record.add("lab-7", hours_ago(&mut dice, 120, 40), negative),
        Profile::Yellow => {
            record.add("lab-7", hours_ago(&mut dice, 30, 10), negative);
            let ago = hours_ago(&mut dice, 2, 20);
            let until = Some(loaded_at.minus(ago).plus(DAY * 7));
            let reason = "close_contact".to_owned();
            record.add("xian-cdc", ago, EventData::ColourAssignment { colour: Colour::Yellow, reason, until });
        }
        Profile::Red => {
            let positive = EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive };
            record.add("lab-7", hours_ago(&mut dice, 6, 60), positive);
        }
    }
    (profile, record.events)
}

/// The events of one person.
struct Record {
    subject: SubjectId,
    document: String,
    loaded_at: Time,
    n: u64,
    events: Vec<StoredEvent>,
}

impl Record {
    fn add(&mut self, agency: &str, ago: Duration, data: EventData) {
        let event = Event {
            subject: self.subject,
            agency: agency.into(),
            id: format!("demo-{}-{}", self.n, self.events.len()),
            revision: 0,
            document: self.document.clone(),
            occurred_at: self.loaded_at.minus(ago),
            data,
        };
        self.events.push(StoredEvent::new(event, self.loaded_at));
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same on every machine and in every version.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use yima_schema::derive::derive;
    use yima_schema::rules::Rules;

    #[test]
    fn document_numbers_are_valid_and_distinct() {
        let numbers: HashSet<_> = (0..20_000).map(document_number).collect();
        assert_eq!(numbers.len(), 20_000);
        assert!(numbers.iter().all(|n| Document::new(DocumentType::CnResidentId, n).is_ok()));
        document_number(MAX_PEOPLE - 1);
    }

    #[test]
    fn every_person_fits_their_profile_and_never_changes() {
        let (key, rules, now) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in(), Time::from_secs(1_800_000_000));
        let mut mix = HashMap::new();
        for n in 0..5_000 {
            let (profile, events) = person(n, now, &key);
            assert!(events == person(n, now, &key).1);
            let view = derive(&events, &rules);
            let expected = match profile {
                Profile::Green | Profile::Unvaccinated | Profile::TestTooOld => Colour::Green,
                Profile::Yellow => Colour::Yellow,
                Profile::Red => Colour::Red,
            };
            assert_eq!(view.colour_at(now).colour(), expected);
            assert_eq!(view.vaccination.doses == 0, profile == Profile::Unvaccinated);
            *mix.entry(profile.as_str()).or_insert(0) += 1;
        }
        assert!(mix["green"] > 3_000 && (2..30).contains(&mix["red"]) && (10..80).contains(&mix["yellow"]), "{mix:?}");
    }
}
