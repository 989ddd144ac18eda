//! Sizes of the offline bundle, and the time to make and to read it: `bench-offline-bundle [TAGS [CHANGES]]`, 100,000 and
//! 2,500 by default: what a slot of 13 million people has in a wave, and what five minutes add. Beside it a list of tags.

#[macro_use]
extern crate yima_harness;

use std::time::{Duration, Instant};

use yima_harness::samples::{subject, token_keys};
use yima_schema::bundle::{
    AcceptanceRules, Ages, Blob, Index, PartName, Precision, SlotParts, TagSet, Ways, cover, ranges,
};
use yima_schema::code::{DenialTag, IssuerKey};
use yima_schema::time::Time;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PERIOD: Duration = Duration::from_secs(300);
const SLOTS: i64 = 5;

fn main() {
    let mut counts = std::env::args().skip(1).map(|count| count.parse::<u64>().expect("a number"));
    let (tags, changes) = (counts.next().unwrap_or(100_000), counts.next().unwrap_or(2_500));
    let keys = token_keys();
    let tag = |n: u64| keys.denial_tag(subject(n), 1, 83_148, 0);
    let (all, took) = timed(|| (0..tags).map(tag).collect::<Vec<_>>());
    report!("denial tags: {:.2} µs each", took.as_secs_f64() * 1e6 / tags as f64);
    part("everything of a slot", &all, Precision::Coarse);
    let new: Vec<_> = (tags..tags + changes).map(tag).collect();
    part("five minutes", &new, Precision::Fine);
    release(all, changes, tag);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

/// Size of a part, and the times to make it, to read it, and to look a tag up.
fn part(name: &str, tags: &[DenialTag], precision: Precision) {
    let (bytes, made) = timed(|| TagSet::encode(tags.to_vec(), precision));
    let (set, read) = timed(|| TagSet::decode(&bytes).expect("just made"));
    let (found, looked_up) = timed(|| tags.iter().filter(|tag| set.matches(**tag)).count());
    assert_eq!(found, tags.len());
    report!(
        "{name}: {} tags, {} bytes ({:.1} bits a tag; as a list {}), made in {:.1} ms, read in {:.1} ms, looked up in {:.2} µs",
        tags.len(),
        bytes.len(),
        bytes.len() as f64 * 8.0 / tags.len() as f64,
        tags.len() * 8,
        made.as_secs_f64() * 1e3,
        read.as_secs_f64() * 1e3,
        looked_up.as_secs_f64() * 1e6 / tags.len() as f64,
    );
}

/// Twelve hours of releases of one slot with so many changes each, from a slot that has all tags; then the index of
/// five such slots.
fn release(mut known: Vec<DenialTag>, changes: u64, tag: impl Fn(u64) -> DenialTag) {
    let at = |release: u32| Time::from_secs(1_796_000_400).plus(PERIOD * release);
    let (mut named, mut sets) = (Vec::<PartName>::new(), Vec::<(Time, Time, TagSet, usize)>::new());
    let (mut slowest, mut short) = (Duration::ZERO, Vec::new());
    for n in 0..144 {
        let ((), took) = timed(|| {
            let held = sets.iter().filter(|set| named.iter().any(|name| (name.from, name.to) == (set.0, set.1)));
            let ways = Ways::new(held.map(|(from, to, set, _)| (*from, *to, set.clone())).collect());
            let ranges = ranges::to_make(&named, at(n), PERIOD);
            let is_first = ranges.iter().any(|range| range.from == Time::EPOCH);
            // Of an hour and what may have been late, or of everything.
            let recent = if is_first { 0 } else { known.len().saturating_sub(25 * changes as usize) };
            for range in ranges {
                let new = known[recent..].iter().filter(|tag| !ways.all_match(**tag, range.from)).copied();
                let bytes = TagSet::encode(new.collect(), range.precision);
                sets.push((range.from, at(n), TagSet::decode(&bytes).expect("just made"), bytes.len()));
                named.push(PartName { from: range.from, to: at(n), blob: Blob::of(&bytes) });
                if range.from != Time::EPOCH && n % 12 == 5 {
                    short.push(bytes.len());
                }
            }
            named = ranges::to_name(std::mem::take(&mut named), PERIOD);
        });
        slowest = slowest.max(took);
        let first = known.len() as u64 + u64::from(n) * changes;
        known.extend((first..first + changes).map(|n| tag(1 << 32 | n)));
    }
    let released_at = at(143);
    let bytes_of =
        |part: &PartName| sets.iter().find(|set| (set.0, set.1) == (part.from, part.to)).map_or(0, |set| set.3);
    let whole = cover(&named, released_at, |_| false).expect("a cover");
    report!("a release of a slot: at most {:.0} ms", slowest.as_secs_f64() * 1e3);
    report!(
        "five minutes of {changes} changes, within releases: {} bytes on average",
        short.iter().sum::<usize>() / short.len()
    );
    report!(
        "a new reader, {} tags: {} parts, {} bytes a slot",
        known.len(),
        whole.len(),
        whole.iter().map(bytes_of).sum::<usize>()
    );
    index(&named, released_at);
}

fn index(named: &[PartName], released_at: Time) {
    let key = IssuerKey::from_pkcs8(&IssuerKey::generate()).expect("just made");
    let hour = Duration::from_secs(3_600);
    let index = Index {
        region: "xian".into(),
        released_at,
        ages: Ages { warn: hour, grace: hour * 12, stop: hour * 24 },
        issuers: vec![key.verifying_key()],
        rules: AcceptanceRules { version: 1, proof_age: hour, ahead: hour, lag: hour, issued_not_before: Time::EPOCH },
        denylist: (0..SLOTS).map(|slot| SlotParts { slot: 83_148 + slot, parts: named.to_vec() }).collect(),
        emergency: None,
        guidance: None,
        foreign: None,
    };
    let (signed, took) = timed(|| index.sign(&key).expect("a key that is here"));
    report!(
        "index of {SLOTS} slots of {} parts: {} bytes, signed in {:.2} ms",
        named.len(),
        signed.len(),
        took.as_secs_f64() * 1e3
    );
}
