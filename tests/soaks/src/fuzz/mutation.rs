//! Mutation of inputs, written here since no library fits: of those that build with a stable compiler, `mutatis`
//! changes typed values, of a byte string one byte at a time, and knows neither a corpus to cross inputs of nor a
//! dictionary; `libafl` has such mutators, with a hundred crates around them that drive processes and instrumented
//! programs. Neither writes JSON with a member twice.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::json;

/// Longest input, somewhat above the longest event.
const MOST_BYTES: usize = 100_000;
/// Bytes that grammars give a meaning.
const MARKS: &[u8] = b"\0\x01\x7f\x80\xff\"'\\{}[],:;-+.=eE019 /\r\n\tWTZz";
/// Texts that readers have got wrong, here or elsewhere.
pub(super) const TOKENS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "{\"a\":",
    "[[[[",
    "\\u0000",
    "\\ud800",
    "\\udc00\\ud800",
    "\\u0061",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
    "\u{0}",
    "\u{301}",
    "\u{ff11}",
    "\u{1f600}",
    "\u{10ffff}",
    "ß",
    "İ",
    "王",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "2026-02-29T00:00:00Z",
    "2026-11-22T07:30:60Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T07:30:00+25:00",
    "2026-11-22t07:30:00.1234567891z",
    "2026-11-22T07:30:00Z[Asia/Shanghai]",
    "-000001-01-01T00:00:00Z",
    "2026",
    "2026-11",
    "2026-11-22",
    "1850-01-01",
    "610102199003070016",
    "61010219841231008X",
    "610113 19750310 8869",
    "E12345678",
    "H12345678",
    "lab-7/42",
    "cn_resident_id",
    "passport",
    "local",
    "test_result",
    "identity",
    "vaccination",
    "colour_assignment",
    "retraction",
    "session_end",
    "nucleic_acid",
    "antigen",
    "positive",
    "inconclusive",
    "red",
    "green",
    "quarantine",
    "208",
    "urn:uuid:p",
    "Patient/p-1",
    "http://loinc.org",
    "94500-6",
    "95409-9",
    "94531-1",
    "260373001",
    "260415000",
    "urn:oid:2.16.156.10011.1.3",
    "entered-in-error",
    "corrected",
    "final",
    "YM1:",
    "HC1:",
    "Bearer ",
    "..",
];
/// Numbers at the edges of the types that hold them.
pub(super) const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "00",
    "20",
    "21",
    "127",
    "128",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "1e2",
    "1E400",
    "1e-400",
    "0.1e1",
    "253402300799",
    "-62135596800",
];

/// The form of an input: what is inside is mutated too.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    /// Text of a grammar of its own.
    Text,
    /// A JSON document.
    Json,
    /// JSON documents, one a line.
    JsonLines,
    /// Base45 (RFC 9285) behind a prefix that ends in a colon.
    Base45,
    /// Base64url, in parts between dots.
    Base64Url,
}

/// Makes the input of one number.
pub(super) struct Mutator<'a> {
    random: StdRng,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// The inputs of a seed and a number are always the same, whichever thread makes them.
    pub(super) fn new(seed: u64, n: u64, corpus: &'a [Vec<u8>]) -> Self {
        let random = StdRng::seed_from_u64(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { random, corpus }
    }

    /// An input of the corpus, mutated.
    pub(super) fn input(&mut self, encoding: Encoding) -> Vec<u8> {
        let chosen = self.chosen();
        let mut input = match encoding {
            _ if self.random.random_ratio(1, 3) => self.havoc(chosen.to_vec()),
            Encoding::Text => self.havoc(chosen.to_vec()),
            Encoding::Json => self.json(chosen),
            Encoding::JsonLines => self.lines(chosen),
            Encoding::Base45 => self.base45(chosen),
            Encoding::Base64Url => self.base64(chosen),
        };
        input.truncate(MOST_BYTES);
        input
    }

    fn chosen(&mut self) -> &'a [u8] {
        self.corpus.choose(&mut self.random).map_or(&[][..], |input| input)
    }

    fn json(&mut self, text: &[u8]) -> Vec<u8> {
        let other = serde_json::from_slice(self.chosen()).unwrap_or_default();
        match serde_json::from_slice(text) {
            Ok(value) => json::mutated(value, &other, &mut self.random),
            Err(_) => self.havoc(text.to_vec()),
        }
    }

    fn lines(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = self.random.random_range(0..lines.len());
        lines[at] = self.json(&lines[at].clone());
        if self.random.random_ratio(1, 4) {
            let other = self.random.random_range(0..lines.len());
            lines.swap(at, other);
            lines.insert(at, lines[other].clone());
        }
        lines.join(&b'\n')
    }

    fn base45(&mut self, text: &[u8]) -> Vec<u8> {
        let prefix = text.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
        let decoded = std::str::from_utf8(&text[prefix..]).ok().and_then(|body| base45::decode(body).ok());
        let Some(decoded) = decoded else { return self.havoc(text.to_vec()) };
        [&text[..prefix], base45::encode(self.havoc(decoded)).as_bytes()].concat()
    }

    fn base64(&mut self, text: &[u8]) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = text.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
        let at = self.random.random_range(0..parts.len());
        let Ok(decoded) = URL_SAFE_NO_PAD.decode(&parts[at]) else { return self.havoc(text.to_vec()) };
        let changed = match serde_json::from_slice(&decoded) {
            Ok(value) => json::mutated(value, &serde_json::Value::Null, &mut self.random),
            Err(_) => self.havoc(decoded),
        };
        parts[at] = URL_SAFE_NO_PAD.encode(changed).into_bytes();
        parts.join(&b'.')
    }

    /// One to eight changes.
    fn havoc(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        for _ in 0..1 << self.random.random_range(0..4_u32) {
            let other = self.chosen();
            change(&mut input, other, &mut self.random);
        }
        input
    }
}

/// One change of a byte string; `other` is another input of the corpus.
pub(super) fn change(input: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let range = at..(at + 1 + random.random_range(0..32)).min(input.len()).max(at);
    match random.random_range(0..14) {
        0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.random_range(0..8_u32)),
        1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = *MARKS.choose(random).unwrap_or(&0)),
        2 => input.insert(at, *MARKS.choose(random).unwrap_or(&0)),
        3 => input.insert(at, random.random()),
        4 => drop(input.drain(range)),
        5 => {
            let times = if random.random_ratio(1, 20) { 1_000 } else { 1 };
            let repeated = input[range].repeat(times);
            input.splice(at..at, repeated);
        }
        6 => {
            let to = random.random_range(0..=input.len());
            let copied = input[range].to_vec();
            let end = (to + copied.len()).min(input.len());
            input.splice(to..end, copied);
        }
        7 => {
            let rest = &other[random.random_range(0..=other.len())..];
            input.truncate(at);
            input.extend_from_slice(rest);
        }
        8 => drop(input.splice(at..at, TOKENS.choose(random).unwrap_or(&"").bytes())),
        9 => {
            let token = TOKENS.choose(random).unwrap_or(&"");
            replace_run(input, at, |byte| byte != b'"' && byte != b',' && byte != b'\n', token);
        }
        10 => replace_run(input, at, |byte| byte.is_ascii_digit(), NUMBERS.choose(random).unwrap_or(&"")),
        11 => input.truncate(at),
        12 => input.rotate_left(at),
        _ => {
            let times = 1 << random.random_range(0..12_u32);
            let token = TOKENS.choose(random).unwrap_or(&"").repeat(times);
            input.splice(at..at, token.bytes());
        }
    }
    input.truncate(MOST_BYTES);
}

/// Replaces the run of such bytes around `at`, if there is one.
fn replace_run(input: &mut Vec<u8>, at: usize, belongs: impl Fn(u8) -> bool, by: &str) {
    let start = input[..at].iter().rposition(|byte| !belongs(*byte)).map_or(0, |before| before + 1);
    let end = input[at..].iter().position(|byte| !belongs(*byte)).map_or(input.len(), |length| at + length);
    if start < end {
        input.splice(start..end, by.bytes());
    }
}
