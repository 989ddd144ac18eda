//! The vectors of `docs/offline-bundle.md`: `tests/vectors/bundle.json`, which the checkpoint's page and
//! `tests/vectors/check.py` read too.
//! `UPDATE_VECTORS=1` makes them again, with new signatures. The keys are for tests only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::code::cbor::{Reader, Writer};
use crate::code::sign1::{self, Sign1};
use crate::code::vectors::{ISSUER, OTHER_ISSUER, hex, issuer, kept, replace};
use crate::code::{DenialTag, IssuerKey, IssuerKeys};
use crate::time::HOUR;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle.json");
const ACCEPTED: &str = "accepted";
const ABOUT: &str = "docs/offline-bundle.md. The keys are for tests only. `index`, `part`: base64 (RFC 4648 section 4). \
    `issuers`: the keys that the reader knows, from /v1/keys or from the bundle held. `held_released_at`: of the bundle held. \
    `named`: length and SHA-256 of a part as the index names it. `in`, `out`: denial tags that match the part, and that do \
    not. `denials`: whether the first index, with the parts of this file, denies a tag of a slot. `covers`: which parts a \
    reader takes of those named, given those it holds; moments in seconds, null: no cover.";

#[derive(Serialize, Deserialize)]
struct Vectors {
    about: String,
    indexes: Vec<IndexVector>,
    parts: Vec<PartVector>,
    denials: Vec<Denial>,
    covers: Vec<Cover>,
}

#[derive(Serialize, Deserialize)]
struct IndexVector {
    name: String,
    index: String,
    /// A JSON Web Key Set.
    issuers: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_released_at: Option<Time>,
    /// `accepted`, or why not.
    expected: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct PartVector {
    name: String,
    part: String,
    named: Named,
    expected: String,
    r#in: Vec<String>,
    out: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    bytes: u64,
    /// In hexadecimal.
    sha256: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Denial {
    slot: i64,
    tag: String,
    denied: bool,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Cover {
    name: String,
    parts: Vec<(i64, i64)>,
    held: Vec<(i64, i64)>,
    released_at: i64,
    cover: Option<Vec<(i64, i64)>>,
}

/// 2026-11-30T01:35:00Z.
const RELEASED_AT: i64 = 1_796_002_500;
/// The slot of that moment.
const SLOT: i64 = 83_148;

fn at(second: i64) -> Time {
    Time::from_secs(RELEASED_AT + second)
}

fn tag(n: u64) -> DenialTag {
    DenialTag(crate::digest::sha256(&n.to_be_bytes())[..8].try_into().unwrap())
}

fn tags(numbers: std::ops::Range<u64>) -> Vec<DenialTag> {
    numbers.map(tag).collect()
}

fn reason(error: BundleError) -> &'static str {
    match error {
        BundleError::Malformed => "malformed",
        BundleError::UnknownIssuer => "unknown_issuer",
        BundleError::Forged => "forged",
        BundleError::Revoked => "revoked_key",
        BundleError::Older => "older",
    }
}

/// What an index says, as the vectors have it.
fn says(index: &Index) -> Value {
    let blob = |blob: &Blob| json!({ "bytes": blob.bytes, "sha256": hex(&blob.sha256) });
    let part =
        |part: &PartName| json!({ "from": part.from.as_secs(), "to": part.to.as_secs(), "part": blob(&part.blob) });
    let slot =
        |slot: &SlotParts| json!({ "slot": slot.slot, "parts": slot.parts.iter().map(part).collect::<Vec<_>>() });
    let emergency = |emergency: &Emergency| {
        json!({
            "until": emergency.until, "expired_s": emergency.expired.as_secs(), "why": emergency.why,
        })
    };
    json!({
        "region": index.region,
        "released_at": index.released_at,
        "warn_s": index.ages.warn.as_secs(),
        "grace_s": index.ages.grace.as_secs(),
        "stop_s": index.ages.stop.as_secs(),
        "kids": index.issuers.iter().map(crate::code::VerifyingKey::kid).collect::<Vec<_>>(),
        "rules": {
            "version": index.rules.version,
            "proof_age_s": index.rules.proof_age.as_secs(),
            "ahead_s": index.rules.ahead.as_secs(),
            "lag_s": index.rules.lag.as_secs(),
            "issued_not_before": index.rules.issued_not_before,
        },
        "denylist": index.denylist.iter().map(slot).collect::<Vec<_>>(),
        "emergency": index.emergency.as_ref().map(emergency),
        "guidance": index.guidance.as_ref().map(blob),
        "foreign": index.foreign.map(|foreign| foreign.blobs().map(|list| blob(&list))),
    })
}

/// What a reader that knows `issuers` says of an index, and what the index says.
fn judge(index: &[u8], issuers: &IssuerKeys, held_released_at: Option<Time>) -> (String, Option<Value>) {
    let opened = Index::open(index, issuers)
        .and_then(|index| index.check_replaces(held_released_at.unwrap_or(Time::EPOCH)).map(|()| index));
    match opened {
        Ok(index) => (ACCEPTED.to_owned(), Some(says(&index))),
        Err(error) => (reason(error).to_owned(), None),
    }
}

fn judge_part(part: &[u8], named: &Blob) -> Result<TagSet, BundleError> {
    if Blob::of(part) == *named { TagSet::decode(part) } else { Err(BundleError::Malformed) }
}

/// Makes the vectors.
struct Maker {
    key: IssuerKey,
    parts: Vec<PartVector>,
    indexes: Vec<IndexVector>,
}

impl Maker {
    /// Adds a good part.
    fn part(&mut self, name: &str, tags: std::ops::Range<u64>, precision: Precision) -> Blob {
        let bytes = TagSet::encode(self::tags(tags.clone()), precision);
        let out = (1_000_000..1_000_040).map(tag).filter(|tag| !TagSet::decode(&bytes).unwrap().matches(*tag));
        let found = tags.map(|n| hex(&tag(n).0)).take(40).collect();
        let out = out.map(|tag| hex(&tag.0)).collect();
        self.add_part(name, &bytes, Blob::of(&bytes), found, out);
        Blob::of(&bytes)
    }

    fn add_part(&mut self, name: &str, bytes: &[u8], named: Blob, found: Vec<String>, out: Vec<String>) {
        let expected = judge_part(bytes, &named).map_or_else(reason, |_| ACCEPTED);
        self.parts.push(PartVector {
            name: name.to_owned(),
            part: STANDARD.encode(bytes),
            named: Named { bytes: named.bytes, sha256: hex(&named.sha256) },
            expected: expected.to_owned(),
            r#in: found,
            out,
        });
    }

    fn bad_part(&mut self, name: &str, bytes: &[u8]) {
        self.add_part(name, bytes, Blob::of(bytes), Vec::new(), Vec::new());
        assert_eq!(self.parts.last().unwrap().expected, "malformed", "{name}");
    }

    fn index(&mut self, name: &str, index: Vec<u8>, held: Option<Time>, expected: &str) {
        let keys = vec![self.key.verifying_key()];
        self.index_by(name, index, keys, held, expected);
    }

    fn index_by(
        &mut self,
        name: &str,
        index: Vec<u8>,
        keys: Vec<crate::code::VerifyingKey>,
        held_released_at: Option<Time>,
        expected: &str,
    ) {
        let issuers = IssuerKeys::new(keys);
        let (judged, says) = judge(&index, &issuers, held_released_at);
        assert_eq!(judged, expected, "{name}");
        self.indexes.push(IndexVector {
            name: name.to_owned(),
            index: STANDARD.encode(index),
            issuers: json!({ "keys": issuers.jwks() }),
            held_released_at,
            expected: judged,
            says,
        });
    }

    /// The good parts, and an index that names them.
    fn good_parts(&mut self) -> Index {
        let first = self.part("everything up to the last slot", 0..500, Precision::Coarse);
        let long = self.part("an hour", 500..600, Precision::Fine);
        let short = self.part("five minutes", 600..620, Precision::Fine);
        let one = self.part("one tag", 620..621, Precision::Fine);
        let none = self.part("no tag", 0..0, Precision::Fine);
        let next = self.part("the next slot", 700..900, Precision::Coarse);
        let part = |from, to, blob| PartName { from, to, blob };
        let parts = vec![
            part(Time::EPOCH, at(-5_700), first),
            part(at(-5_700), at(-2_100), long),
            part(at(-2_100), at(-600), none),
            part(at(-600), at(-300), short),
            part(at(-300), at(0), one),
        ];
        let others = (SLOT + 2..=SLOT + 4).map(|slot| SlotParts { slot, parts: vec![part(Time::EPOCH, at(0), none)] });
        let next = SlotParts { slot: SLOT + 1, parts: vec![part(Time::EPOCH, at(0), next)] };
        Index {
            region: "xian".into(),
            released_at: at(0),
            ages: Ages { warn: HOUR, grace: HOUR * 6, stop: HOUR * 24 },
            issuers: vec![self.key.verifying_key(), issuer(OTHER_ISSUER).verifying_key()],
            rules: AcceptanceRules {
                version: 1,
                proof_age: std::time::Duration::from_secs(60),
                ahead: std::time::Duration::from_secs(30),
                lag: std::time::Duration::from_secs(900),
                issued_not_before: Time::EPOCH,
            },
            denylist: [SlotParts { slot: SLOT, parts }, next].into_iter().chain(others).collect(),
            emergency: None,
            guidance: Some(Blob::of(b"{}")),
            foreign: None,
        }
    }

    fn bad_parts(&mut self) {
        let good = TagSet::encode(tags(500..600), Precision::Fine);
        let (other, name) = (TagSet::encode(tags(600..620), Precision::Fine), Blob::of(&good));
        for (name_of, bytes) in [
            ("cut short", &good[..good.len() - 1]),
            ("a byte more", &[&good[..], &[0]].concat()),
            ("another part in its place", &other[..]),
        ] {
            self.add_part(name_of, bytes, name, Vec::new(), Vec::new());
            assert_eq!(self.parts.last().unwrap().expected, "malformed");
        }
        let altered = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        // The values are 0 and 2: 0 0, then 110 0; two filling bits.
        let by_hand = |k: u8, bits: &[u8]| [&[0, 0, 0, 2, 0, 0, 0, 2, k], bits].concat();
        assert_eq!(TagSet::decode(&by_hand(0, &[0b0110_0000])).unwrap().len(), 2);
        for (name, bytes) in [
            ("a head cut short", good[..8].to_vec()),
            ("m is 0", [&good[..4], &[0; 4], &good[8..]].concat()),
            ("k is 33", altered(8, 33)),
            ("n times m is 2^53", [&[0, 0x80, 0, 0, 0x40, 0, 0, 0, 14][..], &[0; 32]].concat()),
            ("more tags than bits", altered(0, 0xff)),
            ("named as it is, a byte too few", good[..good.len() - 1].to_vec()),
            ("named as it is, a byte more", [&good[..], &[0]].concat()),
            ("filling bits that are not zero", by_hand(0, &[0b0110_0001])),
            ("a value that is n times m", by_hand(0, &[0b0111_1000])),
            ("ones without an end", by_hand(0, &[0b0111_1111])),
            ("no tag, and a byte", vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            self.bad_part(name, &bytes);
        }
        let all = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
        let every = (0..3).map(|n| hex(&tag(n).0)).chain(["ffffffffffffffff".to_owned()]).collect();
        self.add_part("matches every tag", &all, Blob::of(&all), every, Vec::new());
    }

    fn indexes(&mut self, good: &Index) {
        let key = issuer(ISSUER);
        let sign = |index: &Index| index.sign(&key).unwrap();
        self.index("released just now", sign(good), None, ACCEPTED);
        self.index("the one held again", sign(good), Some(at(0)), ACCEPTED);
        self.index("newer than the one held", sign(good), Some(at(-300)), ACCEPTED);
        self.index("older than the one held", sign(good), Some(at(300)), "older");
        let emergency =
            Emergency { until: at(6 * 3_600), expired: HOUR * 24, why: "网络中断 · network down".into() };
        let in_emergency = Index { emergency: Some(emergency), guidance: None, ..good.clone() };
        self.index("in an emergency", sign(&in_emergency), None, ACCEPTED);
        let [trust_list, acceptance, revocations] = ["trust", "acceptance", "revoked"].map(|n| Blob::of(n.as_bytes()));
        let foreign = ForeignLists { trust_list, acceptance, revocations };
        let with_lists = Index { foreign: Some(foreign), ..good.clone() };
        self.index("with lists for codes of other systems", sign(&with_lists), None, ACCEPTED);
        let next = issuer(OTHER_ISSUER);
        let both = vec![key.verifying_key(), next.verifying_key()];
        let by_next = good.sign(&next).unwrap();
        self.index_by("signed by the next key, which the bundle held names", by_next.clone(), both, None, ACCEPTED);
        self.index("signed by an unknown, old or revoked key", by_next, None, "unknown_issuer");
        let signed = sign(good);
        let forged = [&signed[..signed.len() - 1], &[signed[signed.len() - 1] ^ 1]].concat();
        self.index("an altered signature", forged, None, "forged");
        let payload = Sign1::read(&signed).unwrap().payload;
        let as_token = sign1::sign(&key, &sign1::protected(&key), &[], payload).unwrap();
        self.index("signed like a token", as_token, None, "forged");
        self.index("a token", token(), None, "malformed");
        self.index("cut short", signed[..signed.len() - 1].to_vec(), None, "malformed");
        self.index("a byte more", [&signed[..], &[0]].concat(), None, "malformed");
        self.index("nothing", Vec::new(), None, "malformed");
        let mut far = payload.to_vec();
        let lag_and_moment = |moment: &[u8]| [&[0x19, 3, 0x84][..], moment, &[0x24]].concat();
        replace(&mut far, &lag_and_moment(&[0]), &lag_and_moment(&[0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255]));
        let far = sign1::sign(&key, &sign1::protected(&key), b"YM1 bundle", &far).unwrap();
        self.index("a moment after the year 9999", far, None, ACCEPTED);
        self.malformed_payloads(good, payload);
    }

    /// Rightly signed, and not of this format.
    fn malformed_payloads(&mut self, good: &Index, payload: &[u8]) {
        let key = issuer(ISSUER);
        let replaced = |from: &[u8], to: &[u8]| {
            let mut payload = payload.to_vec();
            replace(&mut payload, from, to);
            payload
        };
        let with = |change: &dyn Fn(&mut Index)| {
            let mut index = good.clone();
            change(&mut index);
            let signed = index.sign(&key).unwrap();
            Sign1::read(&signed).unwrap().payload.to_vec()
        };
        let kid = Writer::default().array(3).bytes(key.id()).finish();
        let other_kid = Writer::default().array(3).bytes(&[1; 8]).finish();
        let stop = [0x1a, 0, 1, 0x51, 0x80, 0x22];
        let iat = Writer::default().int(6).int(at(0).as_secs()).finish();
        for (name, payload) in [
            ("of version 2", replaced(&[0x20, 1, 0x21], &[0x20, 2, 0x21])),
            ("for newer readers only", replaced(&[0x25, 1, 0x26], &[0x25, 2, 0x26])),
            ("a field more", [&[0xab][..], &payload[1..], &[0x28, 1]].concat()),
            ("a field twice", [&[0xab][..], &replaced(&iat, &[&iat[..], &iat].concat())[1..]].concat()),
            ("a number in more bytes than it needs", replaced(&[0x20, 1, 0x21], &[0x20, 0x18, 1, 0x21])),
            ("a key id of another key", replaced(&kid, &other_kid)),
            ("a key twice", with(&|index| index.issuers[1] = index.issuers[0].clone())),
            ("warns after it stops", with(&|index| index.ages.warn = HOUR * 25)),
            ("an age above 2^63 - 1", replaced(&stop, &[0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x22])),
            ("a slot left out", with(&|index| drop(index.denylist.remove(1)))),
            ("a slot twice", with(&|index| index.denylist[1].slot = SLOT)),
            ("parts in disorder", with(&|index| index.denylist[0].parts.swap(0, 1))),
            ("a part twice", with(&|index| index.denylist[0].parts[1] = index.denylist[0].parts[0])),
            ("a part of nothing", with(&|index| index.denylist[0].parts[4].from = at(0))),
            ("a part of the future", with(&|index| index.denylist[0].parts[4].to = at(300))),
        ] {
            let signed = sign1::sign(&key, &sign1::protected(&key), b"YM1 bundle", &payload).unwrap();
            self.index(name, signed, None, "malformed");
        }
    }
}

/// A token's COSE_Sign1: that of the first vector of `code.json`.
fn token() -> Vec<u8> {
    let code = crate::code::vectors::first_code();
    let mut reader = Reader::new(&code);
    reader.array().unwrap();
    reader.bytes().unwrap().to_vec()
}

fn denials(good: &Index, parts: &[PartVector]) -> Vec<Denial> {
    let set = |blob: &Blob| {
        let part = parts.iter().find(|part| part.named.sha256 == hex(&blob.sha256)).unwrap();
        TagSet::decode(&STANDARD.decode(&part.part).unwrap()).unwrap()
    };
    let denial = |(slot, n)| {
        let of_slot = good.denylist.iter().find(|found| found.slot == slot).unwrap();
        let cover = cover(&of_slot.parts, good.released_at, |_| false).unwrap();
        let denied = cover.iter().any(|part| set(&part.blob).matches(tag(n)));
        Denial { slot, tag: hex(&tag(n).0), denied }
    };
    let of_slot = [0, 499, 500, 599, 600, 619, 620, 700, 2_000_000].map(|n| denial((SLOT, n)));
    let of_others = [(SLOT + 1, 0), (SLOT + 1, 700), (SLOT + 1, 899), (SLOT + 2, 700)].map(denial);
    of_slot.into_iter().chain(of_others).collect()
}

fn covers() -> Vec<Cover> {
    let name = |(from, to): &(i64, i64)| PartName {
        from: Time::from_secs(*from),
        to: Time::from_secs(*to),
        blob: Blob { bytes: 0, sha256: [0; 32] },
    };
    let parts = vec![(0, 600), (0, 1_200), (600, 900), (900, 1_200), (1_200, 1_230), (1_230, 1_260), (1_200, 1_260)];
    let holed = vec![(0, 600), (900, 1_200)];
    let too_far = vec![(0, 600), (600, 1_300)];
    [
        ("a new reader", &parts, vec![], 1_260),
        ("one that was here a while ago", &parts, vec![(0, 1_200), (1_200, 1_230)], 1_260),
        ("one that was here long ago", &parts, vec![(0, 600), (600, 900)], 1_260),
        ("one that holds a part that is not named", &parts, vec![(0, 300)], 1_260),
        ("one that holds all", &parts, parts.clone(), 1_260),
        ("up to a release before the last", &parts, vec![], 1_230),
        ("a hole", &holed, vec![], 1_200),
        ("too few", &holed, vec![], 700),
        ("beyond the release", &too_far, vec![], 1_200),
        ("no part", &vec![], vec![], 1_200),
    ]
    .map(|(name_of, parts, held, released_at)| {
        let named: Vec<_> = parts.iter().map(name).collect();
        let is_held = |part: &PartName| held.contains(&(part.from.as_secs(), part.to.as_secs()));
        let cover = cover(&named, Time::from_secs(released_at), is_held);
        let seconds = |part: &PartName| (part.from.as_secs(), part.to.as_secs());
        let cover = cover.map(|parts| parts.iter().map(seconds).collect());
        Cover { name: name_of.to_owned(), parts: parts.clone(), held: held.clone(), released_at, cover }
    })
    .into()
}

fn made() -> Vectors {
    let mut maker = Maker { key: issuer(ISSUER), parts: Vec::new(), indexes: Vec::new() };
    let good = maker.good_parts();
    maker.bad_parts();
    maker.indexes(&good);
    let denials = denials(&good, &maker.parts);
    Vectors { about: ABOUT.to_owned(), indexes: maker.indexes, parts: maker.parts, denials, covers: covers() }
}

#[test]
fn the_vectors_are_judged_as_they_say() {
    let made = made();
    let kept = kept(PATH, &made);
    let names = |vectors: &Vectors| {
        let indexes = vectors.indexes.iter().map(|index| (index.name.clone(), index.says.clone()));
        indexes.chain(vectors.parts.iter().map(|part| (part.name.clone(), None))).collect::<Vec<_>>()
    };
    assert_eq!(names(&kept), names(&made), "UPDATE_VECTORS=1 makes them again");
    assert_eq!((&kept.denials, &kept.covers), (&made.denials, &made.covers));
    let known = [ISSUER, OTHER_ISSUER].map(|key| issuer(key).verifying_key());
    for IndexVector { name, index, issuers, held_released_at, expected, says } in kept.indexes {
        let keys = known.iter().filter(|key| issuers.to_string().contains(&key.kid())).cloned().collect();
        let judged = judge(&STANDARD.decode(index).unwrap(), &IssuerKeys::new(keys), held_released_at);
        assert_eq!(judged, (expected, says), "{name}");
    }
    for PartVector { name, part, named, expected, r#in, out } in kept.parts {
        let part = STANDARD.decode(part).unwrap();
        let fits = Blob::of(&part).bytes == named.bytes && hex(&Blob::of(&part).sha256) == named.sha256;
        let set = if fits { TagSet::decode(&part) } else { Err(BundleError::Malformed) };
        assert_eq!(set.as_ref().map_or_else(|error| reason(*error), |_| ACCEPTED), expected, "{name}");
        let bytes = |tag: &String| DenialTag(u64::from_str_radix(tag, 16).unwrap().to_be_bytes());
        assert!(r#in.iter().all(|tag| set.as_ref().unwrap().matches(bytes(tag))), "{name}");
        assert!(!out.iter().any(|tag| set.as_ref().unwrap().matches(bytes(tag))), "{name}");
    }
}
