//! Codes of `tests/vectors/foreign.json` and `foreign-revoked.json`, which an independent implementation has made, and
//! changed ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Deserialize;
use yima_schema::time::Time;

use super::*;
use crate::certificate::{Product, Proof};

#[derive(Deserialize)]
struct Vectors {
    now: Time,
    trust_list: serde_json::Value,
    #[serde(default)]
    revocations: serde_json::Value,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    outcome: String,
    code: String,
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../tests/vectors/foreign.json")).unwrap()
    }

    fn revoked() -> Self {
        serde_json::from_str(include_str!("../../tests/vectors/foreign-revoked.json")).unwrap()
    }

    fn trust_list(&self) -> TrustList {
        TrustList::parse(&self.trust_list.to_string()).unwrap()
    }

    fn code(&self, name: &str) -> &str {
        &self.vectors.iter().find(|vector| vector.name == name).unwrap().code
    }
}

/// Reads a code of which none is revoked.
fn read(code: &str, trust: &TrustList, now: Time) -> Result<Certificate, Refusal> {
    super::read(code, trust, &Revocations::default(), now)
}

fn outcome(code: &str, trust: &TrustList, now: Time) -> &'static str {
    outcome_of(read(code, trust, now), now)
}

fn outcome_of(read: Result<Certificate, Refusal>, now: Time) -> &'static str {
    match read {
        Ok(certificate) => match AcceptanceRules::built_in().judge(&certificate, now) {
            Acceptance::Accepted => "accepted",
            Acceptance::Positive => "positive",
            Acceptance::Incomplete => "incomplete",
            Acceptance::TooRecent => "too_recent",
            Acceptance::TooOld => "too_old",
            Acceptance::NotListed => "not_listed",
        },
        Err(Refusal::Malformed) => "malformed",
        Err(Refusal::Unsupported) => "unsupported",
        Err(Refusal::InParts) => "in_parts",
        Err(Refusal::IssuerUnknown) => "issuer_unknown",
        Err(Refusal::Forged) => "forged",
        Err(Refusal::KeyUsage) => "key_usage",
        Err(Refusal::Revoked) => "revoked",
        Err(Refusal::Expired) => "expired",
        Err(Refusal::NotYetValid) => "not_yet_valid",
    }
}

#[test]
fn every_vector_has_its_outcome() {
    let vectors = Vectors::read();
    let trust = vectors.trust_list();
    let wrong: Vec<_> = vectors
        .vectors
        .iter()
        .map(|vector| (&vector.name, &vector.outcome, outcome(&vector.code, &trust, vectors.now)))
        .filter(|(_, expected, found)| *expected != found)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_an_issuer_has_revoked_is_refused_and_nothing_else() {
    let vectors = Vectors::revoked();
    let (trust, now) = (vectors.trust_list(), vectors.now);
    let revoked = Revocations::parse(&vectors.revocations.to_string()).unwrap();
    for Vector { name, outcome: expected, code } in &vectors.vectors {
        assert_eq!(outcome_of(super::read(code, &trust, &revoked, now), now), expected, "{name}");
        // Without the list nothing is revoked.
        assert_ne!(outcome(code, &trust, now), "revoked", "{name}");
    }
}

#[test]
fn every_entry_of_a_revocation_list_in_error_is_named() {
    let list = serde_json::json!({
        "dcc": [
            {"kid": "?", "hashType": "UCI", "entries": []},
            {"kid": "AAAA", "hashType": "UCI", "entries": []},
            {"kid": "UNKNOWN_KID", "hashType": "UCI", "entries": [{"hash": "AAAA"}, {"hash": "?"}]},
        ],
        "smart_health_cards": [
            {"kid": "k", "method": "other", "rids": []},
            {"kid": "k", "method": "rid", "rids": ["", "a b", "a.b", "a.1.2", "abcdefghijklmnopqrstuvwxy", "good.1", "good"]},
        ]
    });
    let faults = Revocations::parse(&list.to_string()).err().unwrap();
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places[..4], ["/dcc/0/kid", "/dcc/1/kid", "/dcc/2/entries/0/hash", "/dcc/2/entries/1/hash"]);
    let rids = (0..5).map(|at| format!("/smart_health_cards/1/rids/{at}"));
    assert_eq!(places[4..], ["/smart_health_cards/0/method".to_owned()].into_iter().chain(rids).collect::<Vec<_>>());
    for text in ["", r#"{"dccs": []}"#, r#"{"dcc": [{"kid": "UNKNOWN_KID", "hashType": "MD5", "entries": []}]}"#] {
        assert_eq!(
            Revocations::parse(text).err().unwrap()[0].expected,
            "expected the JSON of a revocation list",
            "{text}"
        );
    }
    assert!(Revocations::parse("{}").is_ok_and(|revoked| revoked.is_empty()));
}

#[test]
fn a_list_has_one_part_whatever_its_order() {
    let Vectors { revocations, trust_list, .. } = Vectors::revoked();
    let part = |revocations: &serde_json::Value| Revocations::parse(&revocations.to_string()).unwrap().to_part();
    let mut reversed = revocations.clone();
    reversed["dcc"].as_array_mut().unwrap().reverse();
    assert_eq!(part(&revocations), part(&reversed));
    let part = |list: &serde_json::Value| TrustList::parse(&list.to_string()).unwrap().to_part();
    let mut reversed = trust_list.clone();
    reversed["dcc"].as_array_mut().unwrap().reverse();
    assert_eq!(part(&trust_list), part(&reversed));
}

#[test]
fn without_a_trust_list_nobody_is_known() {
    let vectors = Vectors::read();
    for vector in vectors.vectors.iter().filter(|vector| vector.outcome == "accepted") {
        assert_eq!(outcome(&vector.code, &TrustList::default(), vectors.now), "issuer_unknown", "{}", vector.name);
    }
}

#[test]
fn a_certificate_says_who_was_vaccinated_when_and_by_whose_word() {
    let vectors = Vectors::read();
    let trust = vectors.trust_list();
    let read = |name| read(vectors.code(name), &trust, vectors.now).ok().unwrap();
    let certificate = read("EU: vaccination");
    assert_eq!((certificate.scheme, &*certificate.issuer.country), (Scheme::EuDcc, "AT"));
    assert_eq!(
        (&*certificate.name, certificate.born.as_deref()),
        ("GABRIELE MUSTERFRAU GOESSINGER", Some("1998-02-26"))
    );
    let [Proof::Vaccination(vaccination)] = certificate.proofs.as_slice() else { panic!("not one vaccination") };
    assert_eq!((vaccination.number, vaccination.series), (Some(2), Some(2)));
    assert!(vaccination.doses[0].product == Product::Eu("EU/1/20/1528".into()));
    assert_eq!(vaccination.doses[0].given_on.to_string(), "2026-03-01");

    let card = read("SMART: two doses");
    assert_eq!((card.scheme, card.issuer.name.as_deref()), (Scheme::SmartHealthCard, Some("Example cards")));
    assert_eq!((&*card.name, card.born.as_deref()), ("John B. Anyperson", Some("1951-01-20")));
    let [Proof::Vaccination(vaccination)] = card.proofs.as_slice() else { panic!("not one vaccination") };
    assert_eq!((vaccination.doses.len(), vaccination.number), (2, None));
}

/// Bytes with each bit flipped in turn.
fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn assert_refused(code: &str, trust: &TrustList, now: Time) {
    assert!(read(code, trust, now).is_err(), "a changed code is accepted: {code}");
}

#[test]
fn no_bit_and_no_character_of_an_eu_certificate_can_be_changed() {
    let vectors = Vectors::read();
    let (trust, now) = (vectors.trust_list(), vectors.now);
    for name in
        ["EU: vaccination", "EU: vaccination, RSA", "EU: vaccination, P-384", "EU: nucleic-acid test", "EU: recovery"]
    {
        let code = vectors.code(name);
        let compressed = base45::decode(&code[dcc::PREFIX.len()..]).unwrap();
        let cose = inflate::zlib(&compressed, 8_192).ok().unwrap();
        for changed in flipped(&cose) {
            assert_refused(&format!("HC1:{}", base45::encode(compress(&changed))), &trust, now);
        }
        // The compression is around what is signed, and has bits that mean nothing (RFC 1951 section 3.2.4).
        for changed in flipped(&compressed).filter(|bytes| inflate::zlib(bytes, 8_192).as_ref() != Ok(&cose)) {
            assert_refused(&format!("HC1:{}", base45::encode(changed)), &trust, now);
        }
        for at in dcc::PREFIX.len()..code.len() {
            let other = if &code[at..=at] == "0" { "1" } else { "0" };
            let changed = format!("{}{other}{}", &code[..at], &code[at + 1..]);
            let bytes = base45::decode(&changed[dcc::PREFIX.len()..]).unwrap_or_default();
            if inflate::zlib(&bytes, 8_192).as_ref() != Ok(&cose) {
                assert_refused(&changed, &trust, now);
            }
        }
    }
}

#[test]
fn no_digit_of_a_smart_health_card_can_be_changed() {
    let vectors = Vectors::read();
    let (trust, now) = (vectors.trust_list(), vectors.now);
    for name in ["SMART: two doses", "SMART: nucleic-acid test"] {
        let code = vectors.code(name);
        for at in shc::PREFIX.len()..code.len() {
            for step in [1, 9] {
                let digit = char::from(b'0' + (code.as_bytes()[at] - b'0' + step) % 10);
                assert_refused(&format!("{}{digit}{}", &code[..at], &code[at + 1..]), &trust, now);
            }
        }
    }
}

/// Facts of the specification of SMART Health Cards: its example issuer's key, and the beginning of its example code.
#[test]
fn the_specifications_own_examples_are_read() {
    let key = r#"{"kty":"EC","kid":"3Kfdg-XwP-7gXyywtUfUADwBumDOPKMQx-iELL11W9s","use":"sig","alg":"ES256",
        "crv":"P-256","x":"11XvRWy1I2S0EyJlyf_bWfw_TQ5CJJNLw78bHXNxcgw",
        "y":"eZXwxvO1hvCY0KucrPfKo7yAyMT6Ajc3N7OkAB6VYy8","crlVersion":1}"#;
    let list = |key: &str| {
        let issuer = "https://spec.smarthealth.cards/examples/issuer";
        let entry = format!(r#"{{"issuer":"{issuer}","name":"Example","country":"US","keys":[{key}]}}"#);
        TrustList::parse(&format!(r#"{{"smart_health_cards":[{entry}]}}"#))
    };
    assert_eq!(list(key).ok().unwrap().smart_signers("3Kfdg-XwP-7gXyywtUfUADwBumDOPKMQx-iELL11W9s").len(), 1);
    for (from, to, expected) in [
        ("3Kfdg", "3Kfdh", "thumbprint"),
        ("\"crv\":\"P-256\"", "\"crv\":\"P-384\"", "P-256"),
        ("\"crlVersion\":1", "\"d\":\"FvOO\"", "public key"),
        ("\"sig\"", "\"enc\"", "signatures"),
    ] {
        let faults = list(&key.replacen(from, to, 1)).err().unwrap();
        assert_eq!(faults[0].place, "/smart_health_cards/0/keys/0");
        assert!(faults[0].expected.contains(expected), "{faults:?}");
    }
    assert_eq!(shc::jws("shc:/56762909524320603460292437404460").ok().unwrap(), "eyJ6aXAiOiJERUYi");
}

#[test]
fn every_entry_of_a_trust_list_in_error_is_named() {
    let certificate = Vectors::read().trust_list["dcc"][0]["certificate"].as_str().unwrap().to_owned();
    let list = serde_json::json!({
        "dcc": [
            {"certificate": "?"}, {"certificate": "MIIB"}, {"certificate": certificate},
            {"certificate": certificate, "country": "Austria"},
        ],
        "smart_health_cards": [
            {"issuer": "http://x.example", "name": "X", "country": "US", "keys": []},
            {"issuer": "https://x.example/", "name": "X", "country": "US", "keys": []},
            {"issuer": "https://x.example", "name": "\n", "country": "US", "keys": []},
            {"issuer": "https://x.example", "name": "X", "country": "us", "keys": []},
        ]
    });
    let faults = TrustList::parse(&list.to_string()).err().unwrap();
    let places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    let smart = ["0/issuer", "1/issuer", "2/name", "3/country"].map(|place| format!("/smart_health_cards/{place}"));
    assert_eq!(places[..3], ["/dcc/0/certificate", "/dcc/1/certificate", "/dcc/3/country"]);
    assert_eq!(places[3..], smart);
    for text in ["", "{", r#"{"dcc": [], "dcc": []}"#, r#"{"dccs": []}"#, r#"{"dcc": [{}]}"#] {
        assert_eq!(TrustList::parse(text).err().unwrap()[0].expected, "expected the JSON of a trust list", "{text}");
    }
    assert!(TrustList::parse("{}").is_ok());
}

#[test]
fn keys_that_are_too_short_are_refused() {
    let certificate = |algorithm: &'static rcgen::SignatureAlgorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CountryName, "AT");
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(params.self_signed(&key).unwrap().der())
    };
    let is_taken =
        |algorithm| TrustList::parse(&format!(r#"{{"dcc":[{{"certificate":"{}"}}]}}"#, certificate(algorithm))).is_ok();
    assert!(is_taken(&rcgen::PKCS_ECDSA_P256_SHA256));
    assert!(is_taken(&rcgen::PKCS_ECDSA_P384_SHA384));
    assert!(!is_taken(&rcgen::PKCS_ECDSA_P521_SHA512));
    assert!(!is_taken(&rcgen::PKCS_ED25519));
}

#[test]
fn acceptance_rules_in_error_name_the_key() {
    assert_eq!(AcceptanceRules::built_in().version, 1);
    let with = |from: &str, to: &str| {
        let text = include_str!("../rules/acceptance.toml");
        assert!(text.contains(from), "{from}");
        AcceptanceRules::parse(&text.replacen(from, to, 1)).err().unwrap().remove(0)
    };
    assert!(with("max_h = 72", "max_d = 72").expected.contains("max_d"));
    assert_eq!(with("to_d = 270", "to_d = 13").place, "vaccination.to_d");
    assert_eq!(with("to_d = 180", "to_d = 10").place, "recovery.to_d");
    assert_eq!(with("doses = 2", "doses = 0").place, "vaccination.vaccines[0].doses");
    assert_eq!(with("\"Comirnaty\"", "\"\"").place, "vaccination.vaccines[0].name");
}
