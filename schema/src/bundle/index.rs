//! The index of a bundle: `sign1` of `docs/code-format.md`, with external data of its own, so that no token is an index
//! and no index a token.

use std::time::Duration;

use super::{BundleError, Emergency, PartName};
use crate::code::cbor::{Reader, Writer};
use crate::code::sign1::{self, Sign1};
use crate::code::{IssuerKey, IssuerKeys, SLOT, SignError, VerifyingKey};
use crate::digest::sha256;
use crate::time::Time;

/// Version of this format.
pub const VERSION: u64 = 1;
/// The least version of a reader that judges by this format.
const LEAST_READER: u64 = 1;
/// External data of the signature (RFC 9052 section 4.4).
const CONTEXT: &[u8] = b"YM1 bundle";
/// CWT claims (RFC 8392 section 4).
const ISS: i64 = 1;
const IAT: i64 = 6;

/// An index.
#[derive(Clone)]
pub struct Index {
    /// The region that built it.
    pub region: String,
    /// When it was released: whole seconds. Orders the bundles of a region.
    pub released_at: Time,
    /// How old it may be.
    pub ages: Ages,
    /// The issuers whose tokens are known, and who sign bundles.
    pub issuers: Vec<VerifyingKey>,
    /// How codes are judged.
    pub rules: AcceptanceRules,
    /// The denylist: consecutive slots, each with its parts in ascending order.
    pub denylist: Vec<SlotParts>,
    /// The acceptance of expired codes, while it is in force.
    pub emergency: Option<Emergency>,
    /// The guidance document.
    pub guidance: Option<Blob>,
    /// What codes of other systems are judged by; `None`: they are not judged without a network.
    pub foreign: Option<ForeignLists>,
}

/// The lists by which codes of other systems are judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForeignLists {
    /// Whose signatures count.
    pub trust_list: Blob,
    /// Which of their statements let a person pass.
    pub acceptance: Blob,
    /// Which of their codes were revoked one by one.
    pub revocations: Blob,
}

/// How old a bundle may be, after its release; whole seconds, ascending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ages {
    /// From then on a scanner warns.
    pub warn: Duration,
    /// From then on no code passes.
    pub grace: Duration,
    /// From then on it judges nothing.
    pub stop: Duration,
}

/// Rules of a scanner without a network; whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptanceRules {
    /// Raised with each change of what they mean.
    pub version: u64,
    /// How long a code is current after the moment that it was shown.
    pub proof_age: Duration,
    /// How far a phone's clock may be ahead.
    pub ahead: Duration,
    /// How old a token's data may have been when it was issued.
    pub lag: Duration,
    /// Tokens issued before are to be checked online.
    pub issued_not_before: Time,
}

/// The parts of a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotParts {
    /// Whole slots since 1970 ([`crate::code::Validity::slot`]).
    pub slot: i64,
    /// Its parts.
    pub parts: Vec<PartName>,
}

/// Bytes beside the index, by their length and SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Blob {
    /// Their number.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

impl Blob {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

impl Index {
    /// Signs the index.
    ///
    /// # Errors
    /// The key cannot sign now.
    pub fn sign(&self, key: &IssuerKey) -> Result<Vec<u8>, SignError> {
        sign1::sign(key, &sign1::protected(key), CONTEXT, &self.payload())
    }

    /// Reads and verifies a signed index. Whether it is older than the one held says [`Self::check_replaces`].
    ///
    /// # Errors
    /// The first of [`BundleError::Malformed`], `UnknownIssuer`, `Forged`, `Revoked`.
    pub fn open(bytes: &[u8], issuers: &IssuerKeys) -> Result<Self, BundleError> {
        let signed = Sign1::read(bytes).ok_or(BundleError::Malformed)?;
        let index = Self::read(signed.payload).ok_or(BundleError::Malformed)?;
        signed.verify(issuers, CONTEXT)?;
        Ok(index)
    }

    /// Checks that this index may replace one held, of the same region.
    ///
    /// # Errors
    /// [`BundleError::Older`].
    pub fn check_replaces(&self, held_released_at: Time) -> Result<(), BundleError> {
        if self.released_at < held_released_at { Err(BundleError::Older) } else { Ok(()) }
    }

    /// The slots whose denylist an index needs: those of codes that are accepted before the next index comes, or before
    /// this one stops to count. The first ones of the past are there for codes shown a moment before they ended.
    pub fn slots(released_at: Time, ages: &Ages, emergency: Option<&Emergency>) -> std::ops::RangeInclusive<i64> {
        /// Age of a proof and skew of clocks.
        const SHOWN_BEFORE: Duration = Duration::from_secs(90);
        let slot = |time: Time| time.as_secs().div_euclid(SLOT.as_secs() as i64);
        let back = emergency.map_or(SHOWN_BEFORE, |emergency| emergency.expired.max(SHOWN_BEFORE));
        let stop = released_at.plus(ages.stop);
        let end = emergency.map_or(stop, |emergency| emergency.until.max(stop));
        slot(released_at.minus(back))..=slot(end)
    }

    /// All that it names beside itself.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> {
        let parts = self.denylist.iter().flat_map(|slot| &slot.parts).map(|part| part.blob);
        let foreign = self.foreign.iter().flat_map(ForeignLists::blobs);
        parts.chain(self.guidance).chain(foreign)
    }

    fn payload(&self) -> Vec<u8> {
        let Self { ages, rules, .. } = self;
        let fields = if self.foreign.is_some() { 11 } else { 10 };
        let writer = Writer::default().map(fields).int(ISS).text(&self.region).int(IAT).int(self.released_at.as_secs());
        let writer = writer.int(-1).uint(VERSION).int(-2).array(3);
        let writer = [ages.warn, ages.grace, ages.stop].iter().fold(writer, |writer, age| writer.uint(age.as_secs()));
        let key = |writer: Writer, key: &VerifyingKey| {
            let (x, y) = key.point()[1..].split_at(32);
            writer.array(3).bytes(key.id()).bytes(x).bytes(y)
        };
        let writer = self.issuers.iter().fold(writer.int(-3).array(self.issuers.len()), key);
        let writer = writer.int(-4).array(5).uint(rules.version);
        let writer = [rules.proof_age, rules.ahead, rules.lag].iter().fold(writer, |w, age| w.uint(age.as_secs()));
        let writer = writer.int(rules.issued_not_before.as_secs());
        let part = |writer: Writer, part: &PartName| {
            let writer = writer.array(4).int(part.from.as_secs()).int(part.to.as_secs());
            writer.uint(part.blob.bytes).bytes(&part.blob.sha256)
        };
        let slot = |writer: Writer, slot: &SlotParts| {
            slot.parts.iter().fold(writer.array(2).int(slot.slot).array(slot.parts.len()), part)
        };
        let writer = self.denylist.iter().fold(writer.int(-5).array(self.denylist.len()), slot);
        let writer = writer.int(-6).uint(LEAST_READER).int(-7);
        let writer = match &self.emergency {
            Some(Emergency { until, expired, why }) => {
                writer.array(3).int(until.as_secs()).uint(expired.as_secs()).text(why)
            }
            None => writer.null(),
        };
        let blob = |writer: Writer, blob: &Blob| writer.array(2).uint(blob.bytes).bytes(&blob.sha256);
        let writer = match &self.guidance {
            Some(guidance) => blob(writer.int(-8), guidance),
            None => writer.int(-8).null(),
        };
        let Some(foreign) = &self.foreign else { return writer.finish() };
        foreign.blobs().iter().fold(writer.int(-9).array(3), blob).finish()
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let key = |reader: &mut Reader<'_>, n| reader.is_next(n).then_some(());
        let fields = reader.map()?;
        (10..=11).contains(&fields).then_some(())?;
        key(&mut reader, ISS)?;
        let region = reader.text()?.to_owned();
        key(&mut reader, IAT)?;
        let released_at = time(&mut reader)?;
        key(&mut reader, -1)?;
        (reader.uint()? == VERSION).then_some(())?;
        key(&mut reader, -2)?;
        is_array(&mut reader, 3)?;
        let ages = Ages { warn: age(&mut reader)?, grace: age(&mut reader)?, stop: age(&mut reader)? };
        (ages.warn <= ages.grace && ages.grace <= ages.stop).then_some(())?;
        key(&mut reader, -3)?;
        let issuers = list(&mut reader, issuer)?;
        let mut ids: Vec<_> = issuers.iter().map(VerifyingKey::id).collect();
        ids.sort_unstable();
        ids.is_sorted_by(|a, b| a < b).then_some(())?;
        key(&mut reader, -4)?;
        is_array(&mut reader, 5)?;
        let rules = AcceptanceRules {
            version: reader.uint()?,
            proof_age: age(&mut reader)?,
            ahead: age(&mut reader)?,
            lag: age(&mut reader)?,
            issued_not_before: time(&mut reader)?,
        };
        key(&mut reader, -5)?;
        let denylist = list(&mut reader, |reader| slot(reader, released_at))?;
        denylist.is_sorted_by(|a, b| a.slot + 1 == b.slot).then_some(())?;
        key(&mut reader, -6)?;
        (reader.uint()? <= LEAST_READER).then_some(())?;
        key(&mut reader, -7)?;
        let emergency = if reader.null() {
            None
        } else {
            is_array(&mut reader, 3)?;
            Some(Emergency { until: time(&mut reader)?, expired: age(&mut reader)?, why: reader.text()?.to_owned() })
        };
        key(&mut reader, -8)?;
        let guidance = if reader.null() { None } else { Some(named(&mut reader)?) };
        // Absent without such lists, so that readers of before they existed go on reading.
        let foreign = if fields == 11 {
            key(&mut reader, -9)?;
            is_array(&mut reader, 3)?;
            let [trust_list, acceptance, revocations] = [named(&mut reader)?, named(&mut reader)?, named(&mut reader)?];
            Some(ForeignLists { trust_list, acceptance, revocations })
        } else {
            None
        };
        reader.end()?;
        Some(Self { region, released_at, ages, issuers, rules, denylist, emergency, guidance, foreign })
    }
}

impl ForeignLists {
    /// In the order of the index.
    pub fn blobs(&self) -> [Blob; 3] {
        [self.trust_list, self.acceptance, self.revocations]
    }
}

fn is_array(reader: &mut Reader<'_>, items: u64) -> Option<()> {
    (reader.array()? == items).then_some(())
}

/// An array of items of one kind. Each takes a byte at least, so no length takes more memory than the bytes.
fn list<T>(reader: &mut Reader<'_>, item: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items = reader.array()?;
    (0..items).map(|_| item(reader)).collect()
}

/// A moment after the year 9999 counts as its end.
fn time(reader: &mut Reader<'_>) -> Option<Time> {
    i64::try_from(reader.uint()?).ok().map(Time::from_secs)
}

fn age(reader: &mut Reader<'_>) -> Option<Duration> {
    time(reader).map(|time| time.since(Time::EPOCH))
}

fn issuer(reader: &mut Reader<'_>) -> Option<VerifyingKey> {
    is_array(reader, 3)?;
    let (id, x, y) = (reader.bytes()?, reader.bytes()?, reader.bytes()?);
    let key = VerifyingKey::from_point(&[&[4], x, y].concat()).ok()?;
    (x.len() == 32 && key.id() == id).then_some(key)
}

fn slot(reader: &mut Reader<'_>, released_at: Time) -> Option<SlotParts> {
    is_array(reader, 2)?;
    let slot = i64::try_from(reader.uint()?).ok()?;
    let parts = list(reader, |reader| {
        is_array(reader, 4)?;
        Some(PartName { from: time(reader)?, to: time(reader)?, blob: blob(reader)? })
    })?;
    let in_order = parts.is_sorted_by(|a, b| (a.from, a.to) < (b.from, b.to));
    let in_time = parts.iter().all(|part| part.from < part.to && part.to <= released_at);
    (in_order && in_time).then_some(SlotParts { slot, parts })
}

/// A blob in an array of its own.
fn named(reader: &mut Reader<'_>) -> Option<Blob> {
    is_array(reader, 2)?;
    blob(reader)
}

fn blob(reader: &mut Reader<'_>) -> Option<Blob> {
    Some(Blob { bytes: reader.uint()?, sha256: reader.bytes()?.try_into().ok()? })
}
