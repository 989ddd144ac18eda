//! The two readers of codes that need no network, the program's and the checkpoint's page's, say the same of each code.

use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use yima_harness::{Compared, compare_with_page};
use yima_schema::code::{IssuerKey, IssuerKeys, verify};
use yima_schema::time::Time;

use super::codes::{Issuing, MAC_CHARS};
use super::corpus::Corpus;
use super::mutation::{Encoding, Mutator, change};
use super::tokens::issued_at;

/// Moments of a scan after the issue, in seconds: usual ones, and each limit of a token's and a proof's life.
const AFTER_ISSUE: [i64; 12] = [0, 0, 0, 20, -30, -31, 60, 61, 8 * 900, 20 * 900, 21_599, 21_600];

/// Judges as many mutated codes by both readers, every other one with signatures made after the mutation, so that both
/// come to what the token says. Returns the number of codes of which they say different things.
pub(crate) fn agree(codes: u64, seed: u64, corpus: &Corpus) -> usize {
    let issuing = Issuing::new(corpus);
    let issuers = IssuerKeys::new(vec![issuing.issuer.verifying_key()]);
    let resigner = Resigner::new(corpus, &issuing);
    report!("seed {seed}");
    let begun = Instant::now();
    let kept = corpus.inputs("code");
    let line = |n: u64| {
        let mut random = random(seed, n);
        let text = if n.is_multiple_of(2) {
            String::from_utf8_lossy(&Mutator::new(seed, n, &kept).input(Encoding::Base45)).into_owned()
        } else {
            resigner.code(&mut random)
        };
        let after = AFTER_ISSUE[random.random_range(0..AFTER_ISSUE.len())];
        let now = Time::from_secs(issued_at().as_secs() + after);
        let says = judged(&text, &issuers, now);
        let is_issued = || kept.iter().any(|issued| differs_in_its_mac_alone(issued, text.trim().as_bytes()));
        assert!(n % 2 == 1 || !says.is_array() || is_issued(), "accepted, but not issued: {text}");
        json!([now.as_secs(), text, says])
    };
    let keys = std::iter::once(json!({ "keys": issuers.jwks() }));
    report_agreement("codes", codes, begun, &compare_with_page("judge", keys.chain((0..codes).map(line))))
}

/// The random numbers of one code.
pub(super) fn random(seed: u64, n: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns the number of codes that were judged differently.
pub(super) fn report_agreement(what: &str, codes: u64, begun: Instant, compared: &Compared) -> usize {
    let Compared { read, accepted, differ } = *compared;
    assert_eq!(read, codes, "every code was read");
    report!(
        "both readers of {what}: {read} in {:.0} s, {accepted} accepted by their signatures, {differ} judged \
         differently",
        begun.elapsed().as_secs_f64()
    );
    usize::try_from(differ).unwrap_or(usize::MAX)
}

fn differs_in_its_mac_alone(issued: &[u8], text: &[u8]) -> bool {
    let before = |text: &[u8]| text[..text.len().saturating_sub(MAC_CHARS)].to_vec();
    issued.len() == text.len() && before(issued) == before(text)
}

/// The reason for which a code is refused, or what it says.
fn judged(text: &str, issuers: &IssuerKeys, now: Time) -> Value {
    match verify(text, issuers, now) {
        Ok(claims) => {
            let guardian = claims.guardian;
            let Some(snapshot) = claims.snapshot else {
                let paper = claims.paper.expect("a scanner without a network reads no other tokens");
                return json!([claims.issuer, guardian, paper.name, paper.document]);
            };
            let test = snapshot.test_at(&claims.validity, now).map(|(result, age)| (result, age.as_secs()));
            let colour = snapshot.colour_at(&claims.validity, now);
            let (name, lag) = (snapshot.name, snapshot.lag.as_secs());
            json!([claims.issuer, guardian, colour, test, snapshot.vaccination, name, lag])
        }
        Err(error) => json!(error.as_str()),
    }
}

/// Makes codes of mutated claims, with signatures that fit.
struct Resigner {
    issuer: EcdsaKeyPair,
    phone: EcdsaKeyPair,
    /// The protected header as a byte string.
    header: Vec<u8>,
    /// Claims of tokens without and with a phone.
    payloads: [Vec<u8>; 2],
}

impl Resigner {
    fn new(corpus: &Corpus, issuing: &Issuing) -> Self {
        let phone = corpus.once("keys/phone", IssuerKey::generate);
        let pair = |der: &[u8]| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).expect("a P-256 key");
        let tokens = issuing.tokens(&phone);
        // An array of four: header (14 bytes), an empty map, claims of 24 to 255 bytes.
        let payload = |token: &Vec<u8>| token[18..18 + usize::from(token[17])].to_vec();
        Self {
            issuer: pair(&corpus.once("keys/code", IssuerKey::generate)),
            phone: pair(&phone),
            header: tokens[0][1..15].to_vec(),
            payloads: [payload(&tokens[0]), payload(&tokens[1])],
        }
    }

    fn code(&self, random: &mut StdRng) -> String {
        let has_phone = random.random_ratio(3, 4);
        let mut payload = self.payloads[usize::from(has_phone)].clone();
        for _ in 0..random.random_range(0..3_u32) {
            if random.random_ratio(2, 3) && !payload.is_empty() {
                let at = random.random_range(0..payload.len());
                payload[at] = random.random();
            } else {
                change(&mut payload, &self.payloads[1], random);
            }
        }
        payload.truncate(usize::from(u16::MAX));
        let payload = byte_string(&payload);
        let signed = [&b"\x84\x6aSignature1"[..], &self.header, b"\x40", &payload].concat();
        let signature = byte_string(&sign(&self.issuer, &signed));
        let token = byte_string(&[&b"\x84"[..], &self.header, b"\xa0", &payload, &signature].concat());
        let code = if has_phone {
            let ahead = [0, 0, 0, 30, 31, -60, -61][random.random_range(0..7_usize)];
            let shown_at = u32::try_from(issued_at().as_secs() + ahead).expect("before 2106").to_be_bytes();
            let head = [&b"\x84"[..], &token, b"\x1a", &shown_at].concat();
            let proof = byte_string(&sign(&self.phone, &[&b"YM1 proof"[..], &head].concat()));
            [head, proof].concat()
        } else {
            [&b"\x82"[..], &token].concat()
        };
        format!("YM1:{}", base45::encode([code, byte_string(&[0; 8])].concat()))
    }
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).expect("system random source").as_ref().to_vec()
}

/// A CBOR byte string of at most 65,535 bytes.
pub(super) fn byte_string(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    match (high, low) {
        (0, 0..24) => [&[0x40 | low], content].concat(),
        (0, _) => [&[0x58, low], content].concat(),
        _ => [&[0x59, high, low], content].concat(),
    }
}
