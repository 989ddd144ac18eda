use proptest::prelude::*;

use coset::CoseKeySet;

use super::*;
use crate::event::{Colour, TestKind, TestOutcome};
use crate::seal::SealKeys;
use crate::subject::SubjectId;
use crate::time::{HOUR, Time};
use crate::view::{Segment, TestShown, Version, View};

fn claims(seals: &SealKeys) -> Claims {
    let handle = Handle {
        subject: SubjectId::from_bytes([9; 16]),
        region: "xian".into(),
        version: Version(7),
        sealed_at: Time::from_secs(1_790_000_000),
    };
    Claims {
        issuer: "xian".into(),
        issued_at: Time::from_secs(1_790_000_000),
        expires_at: Time::from_secs(1_790_000_060),
        handle: handle.seal(seals),
        snapshot: Snapshot {
            as_of: Time::from_secs(1_789_999_999),
            colour: Colour::Green,
            next: Some((Time::from_secs(1_790_009_000), Colour::Red)),
            test: Some((TestOutcome::Negative, 3)),
            vaccination: (2, true),
            name: Some("张*".into()),
        },
    }
}

fn issuer() -> IssuerKey {
    IssuerKey::from_pkcs8(&IssuerKey::generate()).unwrap()
}

#[test]
fn a_genuine_code_opens_and_fits_a_qr_of_version_12() {
    let (key, seals) = (issuer(), SealKeys::new(&[[1; 32]], "handle"));
    let code = sign(&claims(&seals), &key).unwrap();
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    let opened = open(&format!(" {code}\r\n"), &keys).unwrap();
    assert!(opened.snapshot == claims(&seals).snapshot);
    assert_eq!(Handle::open(&opened.handle, &seals).unwrap().version, Version(7));
    assert!(Handle::open(&opened.handle, &SealKeys::new(&[[2; 32]], "handle")).is_err());
    // QR version 12 at level L holds 535 alphanumeric characters (ISO/IEC 18004 table 7).
    assert!(code.len() <= 535, "{}", code.len());
}

#[test]
fn each_kind_of_bad_code_has_its_error() {
    let (key, other, seals) = (issuer(), issuer(), SealKeys::new(&[[1; 32]], "handle"));
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    let error = |text: &str| open(text, &keys).err();
    assert_eq!(error(&sign(&claims(&seals), &other).unwrap()), Some(CodeError::UnknownIssuer));
    // Signed by another key under the id of the genuine key.
    let imposter = IssuerKeys::new(vec![VerifyingKey::with_id_of(&key, &other)]);
    assert_eq!(open(&sign(&claims(&seals), &key).unwrap(), &imposter).err(), Some(CodeError::Forged));
    let revoked = IssuerKeys::new(vec![other.verifying_key()]).with_revoked(vec![key.verifying_key()]);
    assert_eq!(open(&sign(&claims(&seals), &key).unwrap(), &revoked).err(), Some(CodeError::Revoked));
    assert!(open(&sign(&claims(&seals), &other).unwrap(), &revoked).is_ok() && revoked.jwks().len() == 1);
    let set = CoseKeySet::from_slice(&revoked.cose_key_set()).unwrap();
    assert_eq!(set.0.len(), 1);
    assert_eq!(set.0[0].key_id, other.id());
    assert_eq!(set.0[0].to_sec1_octet_string().unwrap(), other.verifying_key().point());
    for malformed in ["", "HELLO", "YM1:", "YM1:@@", "YM1:BB8", "HC1:6BF", &format!("YM1:{}", "A".repeat(5_000))] {
        assert_eq!(error(malformed), Some(CodeError::Malformed), "{malformed:.20}");
    }
}

#[test]
fn a_key_elsewhere_gets_the_digest_and_its_signature_is_the_codes() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    struct Elsewhere(EcdsaKeyPair);
    impl DigestSigner for Elsewhere {
        fn sign(&self, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
            let digest = aws_lc_rs::digest::Digest::import_less_safe(digest, &aws_lc_rs::digest::SHA256);
            Ok(self.0.sign_digest(&digest.unwrap()).unwrap().as_ref().to_vec())
        }
    }
    struct Broken;
    impl DigestSigner for Broken {
        fn sign(&self, _: &[u8; 32]) -> Result<Vec<u8>, SignError> {
            Err(SignError)
        }
    }
    let (pkcs8, seals) = (IssuerKey::generate(), SealKeys::new(&[[1; 32]], "handle"));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
    let public = || IssuerKey::from_pkcs8(&pkcs8).unwrap().verifying_key();
    let key = IssuerKey::elsewhere(public(), Box::new(Elsewhere(pair)));
    assert!(open(&sign(&claims(&seals), &key).unwrap(), &IssuerKeys::new(vec![public()])).is_ok());
    let broken = IssuerKey::elsewhere(public(), Box::new(Broken));
    assert_eq!(sign(&claims(&seals), &broken), Err(SignError));
}

#[test]
fn another_text_of_a_signed_code_is_malformed() {
    let (key, seals) = (issuer(), SealKeys::new(&[[1; 32]], "handle"));
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    let code = sign(&claims(&seals), &key).unwrap();
    let cbor = base45::decode(code.strip_prefix(PREFIX).unwrap()).unwrap();
    let Value::Array(parts) = Value::from_slice(&cbor).unwrap() else { panic!("an array") };
    let issued = parts[0].as_bytes().unwrap();
    let error = |cbor: &[u8]| open(&format!("{PREFIX}{}", base45::encode(cbor)), &keys).err();
    assert_eq!(error(&cbor), None);
    let of = |issued: Vec<u8>| Value::Array(vec![Value::Bytes(issued)]).to_vec().unwrap();
    // A list of unknown length, and one with a length in two bytes.
    assert_eq!(error(&[&[0x9f], &cbor[1..], &[0xff]].concat()), Some(CodeError::Malformed));
    assert_eq!(error(&[&[0x98, 1], &cbor[1..]].concat()), Some(CodeError::Malformed));
    let mut sign1 = CoseSign1::from_slice(issued).unwrap();
    sign1.unprotected = HeaderBuilder::new().key_id(b"x".to_vec()).build();
    assert_eq!(error(&of(sign1.to_vec().unwrap())), Some(CodeError::Malformed), "an unprotected header");
    assert_eq!(error(&[&cbor[..], &[0]].concat()), Some(CodeError::Malformed), "a byte behind");
}

/// A view with these segments: minutes from now, and a colour.
fn view(segments: &[(u32, Colour)]) -> View {
    let segment = |&(minute, colour): &(u32, Colour)| Segment {
        from: now().plus(HOUR * minute / 60),
        colour,
        reason: "x".into(),
        agency: None,
    };
    View { timeline: segments.iter().map(segment).collect(), ..View::default() }
}

/// Five minutes after a quarter of an hour began.
fn now() -> Time {
    Time::from_secs(1_789_999_200 + 300)
}

#[test]
fn a_snapshot_has_only_coarse_times_towards_the_restriction() {
    use Colour::{Green, Red, Yellow};
    let next = |segments: &[(u32, Colour)]| {
        let (time, colour) = Snapshot::of(&view(segments), now(), now()).next?;
        // In minutes from the quarter of an hour that now is in.
        Some(((time.as_secs() - now().as_secs() + 300) / 60, colour))
    };
    assert_eq!(next(&[(0, Green)]), None);
    assert_eq!(next(&[(0, Green), (20, Red)]), Some((15, Red)), "at minute 25, early");
    assert_eq!(next(&[(0, Red), (20, Green)]), Some((30, Green)), "at minute 25, late");
    assert_eq!(next(&[(0, Red), (25, Green)]), Some((30, Green)), "at minute 30");
    assert_eq!(next(&[(0, Red), (20, Green), (24, Yellow)]), Some((30, Yellow)), "both within a quarter of an hour");
    assert_eq!(next(&[(0, Yellow), (20, Green), (24, Red)]), Some((15, Red)));
    assert_eq!(next(&[(0, Green), (5, Red)]), Some((0, Red)), "perhaps before the code was issued");

    let age = |milliseconds: i64| {
        let sampled_at = Time::from_millis(now().as_millis() - milliseconds);
        let test = TestKind::NucleicAcid;
        let shown = TestShown { test, result: TestOutcome::Negative, sampled_at, agency: "lab-7".into() };
        Snapshot::of(&View { tests: vec![shown], ..View::default() }, now(), now()).test
    };
    for (milliseconds, hours) in [(-1, 0), (0, 0), (1, 1), (3_600_000, 1), (3_600_001, 2), (86_399_000, 24)] {
        assert_eq!(age(milliseconds), Some((TestOutcome::Negative, hours)), "{milliseconds} ms");
    }
}

proptest! {
    #[test]
    fn a_code_is_never_laxer_than_the_live_view(
        steps in proptest::collection::vec((1..40u32, proptest::sample::select(Colour::ALL.to_vec())), 1..6),
        offset in 0..900i64,
    ) {
        let mut segments = vec![(0, Colour::Green)];
        for (minutes, colour) in steps {
            segments.push((segments[segments.len() - 1].0 + minutes, colour));
        }
        let (view, now) = (view(&segments), Time::from_secs(now().as_secs() + offset));
        let snapshot = Snapshot::of(&view, now, now);
        let (change, colour) = snapshot.next.unwrap_or((Time::MAX, snapshot.colour));
        prop_assert!(change == Time::MAX || change.as_secs() % 900 == 0);
        for second in (0..7_200).take_while(|second| now.as_secs() + second <= change.as_secs()) {
            let at = Time::from_secs(now.as_secs() + second);
            let said = if at >= change { colour } else { snapshot.colour };
            prop_assert!(said >= view.colour_at(at).colour(), "{} s: {:?}", second, said);
        }
    }

    #[test]
    fn an_altered_code_never_opens(at in 4..500usize, by in 1..45u8) {
        const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
        let (key, seals) = (issuer(), SealKeys::new(&[[1; 32]], "handle"));
        let keys = IssuerKeys::new(vec![key.verifying_key()]);
        let mut code = sign(&claims(&seals), &key).unwrap().into_bytes();
        let at = 4 + at % (code.len() - 4);
        let position = ALPHABET.iter().position(|c| *c == code[at]).unwrap();
        code[at] = ALPHABET[(position + usize::from(by)) % 45];
        prop_assert!(open(std::str::from_utf8(&code).unwrap(), &keys).is_err());
    }

    #[test]
    fn noise_never_panics(text in "(YM1:)?[0-9A-Z $%*+./:-]{0,200}", bytes in any::<Vec<u8>>()) {
        let keys = IssuerKeys::default();
        let _ = open(&text, &keys);
        let _ = open(&format!("YM1:{}", base45::encode(&bytes)), &keys);
    }
}
