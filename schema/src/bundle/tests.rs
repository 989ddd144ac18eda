use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::code::{DenialTag, IssuerKey, IssuerKeys};

const PERIOD: Duration = Duration::from_secs(300);

/// A uniform tag.
fn tag(n: u64) -> DenialTag {
    DenialTag(crate::digest::sha256(&n.to_be_bytes())[..8].try_into().unwrap())
}

fn tags(numbers: std::ops::Range<u64>) -> Vec<DenialTag> {
    numbers.map(tag).collect()
}

fn at(release: i64) -> Time {
    Time::from_secs(1_796_000_400 + 300 * release)
}

fn part(from: Time, to: Time) -> PartName {
    PartName { from, to, blob: Blob::of(format!("{from} {to}").as_bytes()) }
}

fn index() -> Index {
    Index {
        region: "xian".into(),
        released_at: at(20),
        ages: Ages { warn: HOUR, grace: HOUR * 6, stop: HOUR * 24 },
        issuers: vec![key().verifying_key()],
        rules: AcceptanceRules {
            version: 1,
            proof_age: Duration::from_secs(60),
            ahead: Duration::from_secs(30),
            lag: Duration::from_secs(900),
            issued_not_before: Time::EPOCH,
        },
        denylist: vec![
            SlotParts { slot: 83_148, parts: vec![part(Time::EPOCH, at(12)), part(at(12), at(20))] },
            SlotParts { slot: 83_149, parts: vec![part(Time::EPOCH, at(20))] },
        ],
        emergency: Some(Emergency { until: at(90), expired: HOUR * 24, why: "the network is down".into() }),
        guidance: Some(Blob::of(b"{}")),
        foreign: None,
    }
}

const HOUR: Duration = crate::time::HOUR;

fn key() -> IssuerKey {
    crate::code::vectors::issuer(crate::code::vectors::ISSUER)
}

#[test]
fn each_tag_of_a_part_is_found_and_others_as_rarely_as_it_says() {
    for (precision, others) in [(Precision::Coarse, 50..200), (Precision::Fine, 0..20)] {
        let bytes = TagSet::encode(tags(0..3_000), precision);
        let set = TagSet::decode(&bytes).unwrap();
        assert_eq!(set.len(), 3_000);
        assert!(tags(0..3_000).into_iter().all(|tag| set.matches(tag)));
        let found = tags(10_000..60_000).into_iter().filter(|tag| set.matches(*tag)).count();
        assert!(others.contains(&found), "{precision:?}: {found} of 50,000");
    }
    let none = TagSet::decode(&TagSet::encode(Vec::new(), Precision::Fine)).unwrap();
    assert!(none.is_empty() && !none.matches(tag(1)) && !none.matches(DenialTag([0; 8])));
}

#[test]
fn a_slot_with_too_many_tags_sends_every_code_to_the_network() {
    let many = (0..=MAX_TAGS as u64).map(|n| DenialTag((n << 40).to_be_bytes())).collect();
    let bytes = TagSet::encode(many, Precision::Coarse);
    let set = TagSet::decode(&bytes).unwrap();
    assert!(bytes.len() < 20 && (0..100).all(|n| set.matches(tag(n))));
    assert!(set.matches(DenialTag([0xff; 8])));
}

#[test]
fn the_largest_parts_fit() {
    for precision in [Precision::Coarse, Precision::Fine] {
        // Uniform, and as many as there may be.
        let step = u64::MAX / MAX_TAGS as u64;
        let bytes =
            TagSet::encode((0..MAX_TAGS as u64).map(|n| DenialTag((n * step).to_be_bytes())).collect(), precision);
        assert!(bytes.len() <= MAX_PART_BYTES, "{precision:?}: {}", bytes.len());
        assert_eq!(TagSet::decode(&bytes).unwrap().len(), MAX_TAGS);
    }
}

#[test]
fn an_index_reads_back_and_no_altered_bit_of_it_is_accepted() {
    let issuers = IssuerKeys::new(vec![key().verifying_key()]);
    let signed = index().sign(&key()).unwrap();
    let opened = Index::open(&signed, &issuers).unwrap();
    assert_eq!(opened.sign(&key()).unwrap()[..signed.len() - 64], signed[..signed.len() - 64]);
    assert_eq!((opened.denylist, opened.rules, opened.emergency), (index().denylist, index().rules, index().emergency));
    for bit in 0..signed.len() * 8 {
        let mut altered = signed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Index::open(&altered, &issuers).is_err(), "bit {bit}");
    }
    for length in 0..signed.len() {
        assert_eq!(Index::open(&signed[..length], &issuers).err(), Some(BundleError::Malformed));
    }
}

#[test]
fn an_older_index_of_an_unknown_or_revoked_key_is_refused() {
    let signed = index().sign(&key()).unwrap();
    let issuers = IssuerKeys::new(vec![key().verifying_key()]);
    let opened = Index::open(&signed, &issuers).unwrap();
    assert_eq!(opened.check_replaces(at(20)), Ok(()));
    assert_eq!(opened.check_replaces(at(21)), Err(BundleError::Older));
    assert_eq!(Index::open(&signed, &IssuerKeys::default()).err(), Some(BundleError::UnknownIssuer));
    let revoked = IssuerKeys::default().with_revoked(vec![key().verifying_key()]);
    assert_eq!(Index::open(&signed, &revoked).err(), Some(BundleError::Revoked));
}

#[test]
fn a_token_is_no_index_and_an_index_no_token() {
    let issuers = IssuerKeys::new(vec![key().verifying_key()]);
    let signed = index().sign(&key()).unwrap();
    let payload = crate::code::sign1::Sign1::read(&signed).unwrap().payload;
    let protected = crate::code::sign1::protected(&key());
    let as_token = crate::code::sign1::sign(&key(), &protected, &[], payload).unwrap();
    assert_eq!(Index::open(&as_token, &issuers).err(), Some(BundleError::Forged));
}

#[test]
fn an_index_names_the_slots_of_codes_that_are_accepted_before_it_stops() {
    let ages = index().ages;
    let slot = |n: i64| Time::from_secs(n * 6 * 3_600);
    assert_eq!(Index::slots(slot(100), &ages, None), 99..=104);
    assert_eq!(Index::slots(slot(100).plus(PERIOD), &ages, None), 100..=104);
    let emergency = Emergency { until: slot(110), expired: HOUR * 24, why: String::new() };
    assert_eq!(Index::slots(slot(100).plus(PERIOD), &ages, Some(&emergency)), 96..=110);
}

/// Parts of one slot, as releases at these moments name them, and the tags that each of them has.
struct Slot {
    named: Vec<PartName>,
    sets: std::collections::BTreeMap<(Time, Time), TagSet>,
    known: u64,
}

impl Slot {
    /// Releases with so many new tags; a builder that sees all of them again, as after a change of builder.
    fn release(&mut self, released_at: Time, new: u64) {
        self.known += new;
        let kept = self.named.iter().map(|part| (part.from, part.to, self.sets[&(part.from, part.to)].clone()));
        let ways = Ways::new(kept.collect());
        for range in ranges::to_make(&self.named, released_at, PERIOD) {
            let new = tags(0..self.known).into_iter().filter(|tag| !ways.all_match(*tag, range.from));
            let bytes = TagSet::encode(new.collect(), range.precision);
            self.sets.insert((range.from, released_at), TagSet::decode(&bytes).unwrap());
            self.named.push(PartName { blob: Blob::of(&bytes), ..part(range.from, released_at) });
        }
        self.named = ranges::to_name(std::mem::take(&mut self.named), PERIOD);
    }

    fn matches(&self, cover: &[PartName], tag: DenialTag) -> bool {
        cover.iter().any(|part| self.sets[&(part.from, part.to)].matches(tag))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a scanner holds and whichever releases failed, it comes to the release, and finds every tag.
    #[test]
    fn every_scanner_covers_the_release_and_finds_every_tag(
        steps in prop::collection::vec((1i64..4, 0u64..4), 1..90), some in 1i64..30, seed in any::<u64>(),
    ) {
        let mut slot = Slot { named: Vec::new(), sets: Default::default(), known: 0 };
        let mut release = 0;
        for (at_step, (step, new)) in steps.iter().enumerate() {
            // Most releases follow one another.
            release += if at_step as i64 % some == 0 { step * 3 } else { 1 };
            slot.release(at(release), *new);
            for shift in 0..4 {
                let is_held = |part: &PartName| ((part.to.as_secs() as u64 / 300) ^ seed) >> shift & 1 == 1;
                let cover = cover(&slot.named, at(release), is_held).expect("a cover");
                prop_assert!(tags(0..slot.known).into_iter().all(|tag| slot.matches(&cover, tag)));
            }
            prop_assert!(slot.named.len() <= 2 + 12 + 24, "{} parts", slot.named.len());
            let is_new = |part: &PartName| part.from == Time::EPOCH;
            let fresh = cover(&slot.named, at(release), |_| false).expect("a cover");
            prop_assert!(fresh.first().is_some_and(is_new) && fresh.len() <= 1 + 6 + 12, "{} parts", fresh.len());
        }
    }

    #[test]
    fn parts_of_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(set) = TagSet::decode(&bytes) {
            prop_assert!(set.len() <= bytes.len() * 8);
        }
    }

    #[test]
    fn a_part_with_a_byte_more_or_less_is_refused(n in 0u64..300, byte in any::<u8>()) {
        for precision in [Precision::Coarse, Precision::Fine] {
            let bytes = TagSet::encode(tags(0..n), precision);
            prop_assert!(TagSet::decode(&[&bytes[..], &[byte]].concat()).is_err());
            prop_assert!(TagSet::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
