//! The two readers of other systems' codes, the program's and the checkpoint's page's, say the same of each code.

use std::io::{Read, Write};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ciborium::Value as Cbor;
use flate2::Compression;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, ZlibEncoder};
use rand::RngExt;
use rand::rngs::StdRng;
use rcgen::{CertificateParams, DnType, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use yima_foreign::TrustList;
use yima_harness::{compare_with_page, says_of_foreign};
use yima_schema::time::Time;

use super::agreement::{byte_string, random, report_agreement};
use super::mutation::change;

/// Judges as many codes by both readers: texts of genuine codes with changes, and changed contents with signatures made
/// afterwards, so that both come to what the content says. Returns the number of codes of which they say different
/// things.
pub(crate) fn agree_about_foreign(codes: u64, seed: u64) -> usize {
    let issuer = Issuer::new();
    let part = STANDARD.encode(issuer.trust.to_part());
    let begun = Instant::now();
    let line = |n: u64| {
        let code = issuer.code(&mut random(seed, n));
        json!([issuer.now.as_millis(), code, part, says_of_foreign(&code, &issuer.trust, issuer.now)])
    };
    report_agreement("foreign codes", codes, begun, &compare_with_page("judge-foreign", (0..codes).map(line)))
}

/// An issuer of both systems, with the contents of the genuine codes of `tests/vectors/foreign.json`.
struct Issuer {
    now: Time,
    trust: TrustList,
    key: EcdsaKeyPair,
    /// Of the certificate: the first 8 bytes of its SHA-256.
    dcc_key_id: Vec<u8>,
    card_header: String,
    texts: Vec<String>,
    /// CWT claims sets.
    dcc: Vec<Vec<u8>>,
    /// Claims as JSON.
    cards: Vec<Vec<u8>>,
}

impl Issuer {
    fn new() -> Self {
        let vectors: Value = serde_json::from_str(include_str!("../../../vectors/foreign.json")).expect("JSON");
        let now: Time = vectors["now"].as_str().and_then(|now| now.parse().ok()).expect("a time");
        let pair = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key pair");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CountryName, "AT");
        let certificate = params.self_signed(&pair).expect("a certificate");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.serialized_der()).expect("P-256");
        let [x, y] = [1, 33].map(|at| URL_SAFE_NO_PAD.encode(&key.public_key().as_ref()[at..at + 32]));
        // RFC 7638.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let jwk = json!({ "kty": "EC", "kid": kid, "use": "sig", "alg": "ES256", "crv": "P-256", "x": x, "y": y });
        let mut list = vectors["trust_list"].clone();
        list["dcc"] = json!([{ "certificate": STANDARD.encode(certificate.der()) }]);
        list["smart_health_cards"][0]["keys"] = json!([jwk]);
        let trust = TrustList::parse(&list.to_string()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let texts = vectors["vectors"].as_array().into_iter().flatten().filter_map(|vector| vector["code"].as_str());
        let texts: Vec<_> = texts.map(str::to_owned).collect();
        Self {
            now,
            trust,
            key,
            dcc_key_id: digest(&SHA256, certificate.der()).as_ref()[..8].to_vec(),
            card_header: URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "zip": "DEF", "kid": kid }).to_string()),
            dcc: texts.iter().filter_map(|text| dcc_claims(text)).collect(),
            cards: texts.iter().filter_map(|text| card_claims(text)).collect(),
            texts,
        }
    }

    fn code(&self, random: &mut StdRng) -> String {
        match random.random_range(0..4_u32) {
            0 => {
                let mut text = pick(&self.texts, random).clone().into_bytes();
                change(&mut text, pick(&self.texts, random).as_bytes(), random);
                String::from_utf8_lossy(&text).into_owned()
            }
            1 => self.card(&changed(&self.cards, random)),
            _ => self.certificate(&changed(&self.dcc, random)),
        }
    }

    /// An `HC1:` code of these claims.
    fn certificate(&self, claims: &[u8]) -> String {
        // {1: -7, 4: key id}
        let protected = byte_string(&[&b"\xa2\x01\x26\x04"[..], &byte_string(&self.dcc_key_id)].concat());
        let claims = byte_string(claims);
        let signed = [&b"\x84\x6aSignature1"[..], &protected, b"\x40", &claims].concat();
        let sign1 = [&b"\xd2\x84"[..], &protected, b"\xa0", &claims, &byte_string(&self.sign(&signed))].concat();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&sign1).expect("memory");
        format!("HC1:{}", base45::encode(encoder.finish().expect("memory")))
    }

    /// A `shc:/` code of these claims.
    fn card(&self, claims: &[u8]) -> String {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(claims).expect("memory");
        let payload = URL_SAFE_NO_PAD.encode(encoder.finish().expect("memory"));
        let signed = format!("{}.{payload}", self.card_header);
        let jws = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())));
        let digits: String = jws.bytes().map(|byte| format!("{:02}", byte - b'-')).collect();
        format!("shc:/{digits}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), message).expect("system random source").as_ref().to_vec()
    }
}

fn pick<'a, T>(all: &'a [T], random: &mut StdRng) -> &'a T {
    &all[random.random_range(0..all.len())]
}

/// One of the contents with up to two changes.
fn changed(all: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut content = pick(all, random).clone();
    for _ in 0..random.random_range(0..3_u32) {
        if random.random_ratio(2, 3) && !content.is_empty() {
            let at = random.random_range(0..content.len());
            content[at] = random.random();
        } else {
            change(&mut content, pick::<Vec<u8>>(all, random), random);
        }
    }
    content.truncate(8_000);
    content
}

/// The claims of a genuine `HC1:` code.
fn dcc_claims(code: &str) -> Option<Vec<u8>> {
    let compressed = base45::decode(code.strip_prefix("HC1:")?).ok()?;
    let mut sign1 = Vec::new();
    ZlibDecoder::new(&compressed[..]).take(100_000).read_to_end(&mut sign1).ok()?;
    let mut value: Cbor = ciborium::from_reader(&sign1[..]).ok()?;
    while let Cbor::Tag(_, tagged) = value {
        value = *tagged;
    }
    value.into_array().ok()?.get(2)?.as_bytes().cloned()
}

/// The claims of a genuine `shc:/` code.
fn card_claims(code: &str) -> Option<Vec<u8>> {
    let digits = code.strip_prefix("shc:/")?.as_bytes();
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok()?.parse().ok().map(|value: u8| value + b'-');
    let jws = digits.chunks(2).map(byte).collect::<Option<Vec<_>>>()?;
    let compressed = URL_SAFE_NO_PAD.decode(jws.split(|byte| *byte == b'.').nth(1)?).ok()?;
    let mut claims = Vec::new();
    DeflateDecoder::new(&compressed[..]).take(100_000).read_to_end(&mut claims).ok()?;
    Some(claims)
}
