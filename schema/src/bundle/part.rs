//! A part of the denylist: a Golomb-coded set of denial tags. A tag that is not in it is found with probability 1/m, so
//! a tag that is found means "ask online".

use super::BundleError;
use crate::code::DenialTag;

/// Most bytes of a part.
pub const MAX_PART_BYTES: usize = 8 * 1024 * 1024;
/// Most tags of a part: it then has at most [`MAX_PART_BYTES`], whatever its precision.
pub const MAX_TAGS: usize = 4_000_000;

/// Number of tags, m and k.
const HEAD_BYTES: usize = 4 + 4 + 1;
const MAX_K: u8 = 32;
/// Numbers stay exact in a scanner's floating-point arithmetic.
const MAX_RANGE: u64 = 1 << 53;

/// How rarely a part matches a tag that is not in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// Once in 470 tags, at 10.4 bits a tag: of everything since the beginning.
    Coarse,
    /// Once in 16,384 tags, at 15.6 bits a tag: of one of the many short ranges.
    Fine,
}

/// The tags of a part, as far as it tells them apart: ascending numbers below `range`.
#[derive(Clone, PartialEq, Eq)]
pub struct TagSet {
    /// Number of tags times m.
    range: u64,
    values: Vec<u64>,
}

impl Precision {
    /// m, and the values of k of which the better one is used.
    fn parameters(self) -> (u64, [u8; 2]) {
        match self {
            Self::Coarse => (470, [8, 8]),
            Self::Fine => (16_384, [13, 14]),
        }
    }
}

impl TagSet {
    /// The part that matches every tag.
    pub fn encode_all() -> Vec<u8> {
        encode(&[0], 1, 0)
    }

    /// The part that has these tags. Of more than [`MAX_TAGS`] it is [`Self::encode_all`].
    pub fn encode(mut tags: Vec<DenialTag>, precision: Precision) -> Vec<u8> {
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > MAX_TAGS {
            return Self::encode_all();
        }
        if tags.is_empty() {
            return encode(&[], 1, 0);
        }
        let (m, ks) = precision.parameters();
        let range = tags.len() as u64 * m;
        // In ascending order, since the tags are.
        let values: Vec<_> = tags.iter().map(|tag| value(*tag, range)).collect();
        let k = ks.into_iter().min_by_key(|k| bits(&values, *k)).unwrap_or(MAX_K);
        encode(&values, m as u32, k)
    }

    /// Reads a part. What [`Self::encode`] would not write is refused: filling bits, a byte too many.
    ///
    /// # Errors
    /// [`BundleError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        Self::read(bytes).ok_or(BundleError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_PART_BYTES {
            return None;
        }
        let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [n0, n1, n2, n3, m0, m1, m2, m3, k] = *head;
        let (n, m) = (u32::from_be_bytes([n0, n1, n2, n3]), u32::from_be_bytes([m0, m1, m2, m3]));
        let range = u64::from(n) * u64::from(m);
        // Each value takes a bit at least, which bounds the memory by the bytes.
        if m == 0 || k > MAX_K || range >= MAX_RANGE || n as usize > body.len() * 8 {
            return None;
        }
        let mut bits = Bits { bytes: body, at: 0 };
        let (mut values, mut last) = (Vec::with_capacity(n as usize), 0u64);
        for _ in 0..n {
            let mut quotient = 0u64;
            while bits.next()? {
                quotient += 1;
            }
            let mut rest = 0;
            for _ in 0..k {
                rest = rest << 1 | u64::from(bits.next()?);
            }
            // A quotient is below 2^26, the bits of the longest part, and k at most 32.
            last = last.checked_add((quotient << k) + rest).filter(|value| *value < range)?;
            values.push(last);
        }
        let used = bits.at;
        let is_filled = (used..body.len() * 8).all(|_| bits.next() == Some(false));
        (body.len() == used.div_ceil(8) && is_filled).then_some(Self { range, values })
    }

    /// Whether the set has the tag, or one that it cannot tell apart.
    pub fn matches(&self, tag: DenialTag) -> bool {
        self.values.binary_search(&value(tag, self.range)).is_ok()
    }

    /// Number of tags.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no tag matches.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// The tag as a number below `range`; tags are uniform.
fn value(tag: DenialTag, range: u64) -> u64 {
    ((u128::from(u64::from_be_bytes(tag.0)) * u128::from(range)) >> 64) as u64
}

/// Bits of the Golomb-Rice code of ascending values with that k.
fn bits(values: &[u64], k: u8) -> u64 {
    differences(values).map(|difference| (difference >> k) + 1 + u64::from(k)).sum()
}

fn differences(values: &[u64]) -> impl Iterator<Item = u64> {
    let before = std::iter::once(0).chain(values.iter().copied());
    values.iter().zip(before).map(|(value, before)| value - before)
}

fn encode(values: &[u64], m: u32, k: u8) -> Vec<u8> {
    let length = usize::try_from(bits(values, k).div_ceil(8)).unwrap_or(usize::MAX);
    let mut out = vec![0; HEAD_BYTES + length];
    out[..4].copy_from_slice(&(values.len() as u32).to_be_bytes());
    out[4..8].copy_from_slice(&m.to_be_bytes());
    out[8] = k;
    let body = &mut out[HEAD_BYTES..];
    let mut at = 0;
    let mut push = |bit: bool| {
        body[at / 8] |= u8::from(bit) << (7 - at % 8);
        at += 1;
    };
    for difference in differences(values) {
        (0..difference >> k).for_each(|_| push(true));
        push(false);
        (0..k).rev().for_each(|bit| push(difference >> bit & 1 == 1));
    }
    out
}

/// Bits of bytes, the most significant one first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn next(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }
}
