//! Codes a second, on one thread: tokens issued, phones' codes opened by a read node and verified as a scanner without a
//! network does, beside bare signatures of the same library.

#[macro_use]
extern crate yima_harness;

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use yima_harness::samples::{subject, token_keys};
use yima_schema::code::{
    Claims, Handle, IssuerKey, IssuerKeys, MAX_PROOF_AGE, OpeningKeys, PhoneClaims, PhoneKeyPair, Snapshot, Validity,
    open, verify,
};
use yima_schema::event::{Colour, TestOutcome};
use yima_schema::seal::SealKeys;
use yima_schema::time::{DAY, Time};
use yima_schema::view::Version;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const EACH: Duration = Duration::from_millis(500);

fn main() {
    let pkcs8 = IssuerKey::generate();
    let issuer = IssuerKey::from_pkcs8(&pkcs8).expect("just made");
    let (tokens, handles) = (token_keys(), SealKeys::new(&[[1; 32]], "handle"));
    let (phone, now) = (PhoneKeyPair::generate(), Time::from_secs(1_796_000_400));
    let validity = Validity::of_batch(now, DAY, 1)[0];
    let denial_tag = tokens.denial_tag(subject(1), 1, validity.slot(), 0);
    let claims = Claims {
        issuer: "xian".into(),
        validity,
        phone: Some(PhoneClaims { key: phone.public(), denial_tag }),
        snapshot: Some(Snapshot {
            lag: Duration::ZERO,
            colour: Colour::Green,
            changes: vec![(8, Colour::Yellow)],
            test: Some((TestOutcome::Negative, 31)),
            vaccination: (3, true),
            name: Some("张*".into()),
        }),
        paper: None,
        guardian: false,
    };
    let handle = Handle { subject: subject(1), version: Version(7), phone: Some(1) };
    let issue = || claims.issue(&handle, &issuer, &handles, &tokens).expect("a key that is here");
    let issued = issue();
    let code = phone.show(&issued.token, &issued.secret, now);
    let issuers = IssuerKeys::new(vec![issuer.verifying_key()]);
    let keys = OpeningKeys { handles: &handles, tokens: &tokens, issuers: &issuers };
    report!("a phone's code: {} characters", code.len());

    let bare = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).expect("just made");
    let (random, message) = (SystemRandom::new(), &issued.token[..]);
    let sign = || bare.sign(&random, message).expect("a key that is here");
    let signature = sign();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bare.public_key().as_ref());
    let work: [(&str, &dyn Fn()); 6] = [
        ("P-256 signature, bare", &|| {
            black_box(sign());
        }),
        ("token issued, with a signature", &|| {
            black_box(issue());
        }),
        ("code shown, with a signature", &|| {
            black_box(phone.show(&issued.token, &issued.secret, now));
        }),
        ("P-256 signature checked, bare", &|| public.verify(message, signature.as_ref()).expect("just signed")),
        ("code verified without a network, with two checks", &|| {
            assert!(black_box(verify(&code, &issuers, now)).is_ok());
        }),
        ("code opened by a read node, with a MAC", &|| {
            assert!(black_box(open(&code, keys, now, MAX_PROOF_AGE)).is_ok());
        }),
    ];
    let mut rates = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        for (rates, (_, work)) in rates.iter_mut().zip(&work) {
            rates.push(rate(work));
        }
    }
    for (rates, (name, _)) in rates.iter_mut().zip(&work) {
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        report!("{name}: {rate:.0} /s, {:.1} µs", 1e6 / rate);
    }
}

/// Calls a second.
fn rate(work: &dyn Fn()) -> f64 {
    let (began, mut calls) = (Instant::now(), 0_u32);
    while began.elapsed() < EACH {
        (0..8).for_each(|_| work());
        calls += 8;
    }
    f64::from(calls) / began.elapsed().as_secs_f64()
}
