use coset::{CborSerializable, CoseKeySet};
use proptest::prelude::*;

use super::cbor::Writer;
use super::*;
use crate::event::{Colour, TestKind, TestOutcome};
use crate::seal::SealKeys;
use crate::subject::{PseudonymKey, SubjectId};
use crate::time::{DAY, HOUR};
use crate::view::{Segment, TestShown, Version, View};

/// 2026-09-21T14:00:00Z.
const ISSUED_AT: i64 = 1_789_999_200;

fn keys() -> TokenKeys {
    TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32]))
}

fn handles() -> SealKeys {
    SealKeys::new(&[[1; 32]], "handle")
}

fn issuer() -> IssuerKey {
    IssuerKey::from_pkcs8(&IssuerKey::generate()).unwrap()
}

fn at(second: i64) -> Time {
    Time::from_secs(ISSUED_AT + second)
}

fn handle(phone: Option<u64>) -> Handle {
    Handle { subject: SubjectId::from_bytes([9; 16]), version: Version(1 << 48), phone }
}

/// A snapshot of typical length.
fn snapshot() -> Snapshot {
    Snapshot {
        lag: Duration::ZERO,
        colour: Colour::Green,
        changes: vec![(8, Colour::Red)],
        test: Some((TestOutcome::Negative, 31)),
        vaccination: (3, true),
        name: Some("张*".into()),
    }
}

fn claims(snapshot: Snapshot, key: Option<PhoneKey>) -> Claims {
    let validity = match key {
        Some(_) => Validity::of_batch(at(0), DAY, 2)[1],
        None => Validity::of_bare(at(0), Duration::from_secs(60)),
    };
    let denial_tag = keys().denial_tag(handle(None).subject, u64::MAX, validity.slot(), 0);
    let phone = key.map(|key| PhoneClaims { key, denial_tag });
    Claims { issuer: "xian".into(), validity, phone, snapshot: Some(snapshot), paper: None, guardian: false }
}

/// A code of each kind, and a moment at which it is current.
fn codes(issuer: &IssuerKey, snapshot: &Snapshot) -> [(String, Time); 2] {
    codes_by(false, issuer, snapshot)
}

/// The same, shown by a guardian or not.
fn codes_by(guardian: bool, issuer: &IssuerKey, snapshot: &Snapshot) -> [(String, Time); 2] {
    let by = |claims: Claims| Claims { guardian, ..claims };
    let bare = by(claims(snapshot.clone(), None)).issue(&handle(None), issuer, &handles(), &keys()).unwrap();
    let pair = PhoneKeyPair::generate();
    let claims = by(claims(snapshot.clone(), Some(pair.public())));
    let issued = claims.issue(&handle(Some(u64::MAX)), issuer, &handles(), &keys()).unwrap();
    let shown_at = claims.validity.valid_from.plus(HOUR);
    [(bare.bare(), at(0)), (pair.show(&issued.token, &issued.secret, shown_at), shown_at)]
}

fn open_at(text: &str, issuers: &IssuerKeys, now: Time) -> Result<Opened, CodeError> {
    let (handles, tokens) = (&handles(), &keys());
    open(text, OpeningKeys { handles, tokens, issuers }, now, MAX_PROOF_AGE)
}

#[test]
fn both_ways_of_checking_accept_a_genuine_code_and_only_with_the_right_keys() {
    let issuer = issuer();
    let issuers = IssuerKeys::new(vec![issuer.verifying_key()]);
    for (code, now) in codes(&issuer, &snapshot()) {
        let opened = open_at(&format!(" {code}\r\n"), &issuers, now).unwrap();
        assert_eq!((opened.issuer.as_str(), opened.handle.version), ("xian", Version(1 << 48)));
        let verified = verify(&code, &issuers, now).unwrap();
        assert!(verified.snapshot == Some(snapshot()));
        assert_eq!(opened.handle.phone.is_some(), verified.phone.is_some());

        let unknown = IssuerKeys::default();
        let forger = IssuerKeys::new(vec![VerifyingKey::with_id_of(&issuer, &self::issuer())]);
        let revoked = IssuerKeys::default().with_revoked(vec![issuer.verifying_key()]);
        let with = |handles: &SealKeys, issuers: &IssuerKeys| {
            open(&code, OpeningKeys { handles, tokens: &keys(), issuers }, now, MAX_PROOF_AGE).err()
        };
        for (issuers, expected) in [(&unknown, CodeError::UnknownIssuer), (&revoked, CodeError::Revoked)] {
            assert_eq!(verify(&code, issuers, now).err(), Some(expected));
            assert_eq!(with(&handles(), issuers), Some(expected));
        }
        assert_eq!(verify(&code, &forger, now).err(), Some(CodeError::Forged));
        let other = SealKeys::new(&[[2; 32]], "handle");
        for (issuers, expected) in [(&issuers, CodeError::UnknownIssuer), (&forger, CodeError::Forged)] {
            assert_eq!(with(&other, issuers), Some(expected));
        }
        let revoked = SealKeys::with_ids(&[(1, [1; 32])], Some(1), vec![0], "handle");
        assert_eq!(with(&revoked, &issuers), Some(CodeError::Revoked));
        let (tokens, handles) = (&TokenKeys::new(&PseudonymKey::from_bytes(&[8; 32])), &handles());
        let wrong_mac = open(&code, OpeningKeys { handles, tokens, issuers: &issuers }, now, MAX_PROOF_AGE).err();
        let expected = if verified.phone.is_some() { CodeError::WrongPhone } else { CodeError::Forged };
        assert_eq!(wrong_mac, Some(expected));
    }
    for malformed in ["", "HELLO", "YM1:", "YM1:@@", "YM1:BB8", "HC1:6BF", &format!("YM1:{}", "A".repeat(5_000))] {
        assert_eq!(open_at(malformed, &issuers, at(0)).err(), Some(CodeError::Malformed), "{malformed:.20}");
        assert_eq!(verify(malformed, &issuers, at(0)).err(), Some(CodeError::Malformed), "{malformed:.20}");
    }
}

#[test]
fn both_ways_of_checking_see_that_a_guardian_shows_a_code() {
    let issuer = issuer();
    let issuers = IssuerKeys::new(vec![issuer.verifying_key()]);
    for guardian in [false, true] {
        for (code, now) in codes_by(guardian, &issuer, &snapshot()) {
            assert_eq!(open_at(&code, &issuers, now).unwrap().by_guardian, guardian);
            assert_eq!(verify(&code, &issuers, now).unwrap().guardian, guardian);
        }
    }
}

/// Alphanumeric characters of a QR code at level L (ISO/IEC 18004 table 7).
const VERSION_12: usize = 535;
const VERSION_14: usize = 667;

#[test]
fn a_code_fits_a_qr_of_version_12_and_the_longest_one_of_version_14() {
    let longest = Snapshot {
        lag: DAY,
        changes: (0..8).map(|n| (300 + n, Colour::Red)).collect(),
        test: Some((TestOutcome::Negative, u32::MAX)),
        vaccination: (200, true),
        name: Some("x".repeat(MAX_WRITTEN_NAME_BYTES)),
        ..snapshot()
    };
    let [(bare, _), (phone, _)] = codes(&issuer(), &snapshot());
    assert!(bare.len() <= 320 && phone.len() <= VERSION_12, "{} {}", bare.len(), phone.len());
    let pair = PhoneKeyPair::generate();
    // The longest name of a region has 20 characters.
    let claims = Claims { issuer: "x".repeat(20), guardian: true, ..claims(longest, Some(pair.public())) };
    let widest = Handle { version: Version(u64::MAX), ..handle(Some(u64::MAX)) };
    let issued = claims.issue(&widest, &issuer(), &handles(), &keys()).unwrap();
    let longest = pair.show(&issued.token, &issued.secret, at(0));
    assert!(longest.len() <= VERSION_14, "{}", longest.len());
}

#[test]
fn a_code_is_current_for_a_minute_after_it_was_shown_within_its_tokens_life() {
    use CodeError::{Expired, NotYetValid, StaleProof};
    let validity = Validity { issued_at: at(0), valid_from: at(3_600), expires_at: at(7_200) };
    let check = |shown: Option<i64>, now: i64| validity.check(shown.map(at), at(now), MAX_PROOF_AGE).err();
    for (shown, now, expected) in [
        (3_600, 3_600, None),
        (4_000, 4_060, None),
        (4_000, 4_061, Some(StaleProof)),
        (4_000, 4_090, Some(StaleProof)),
        (4_030, 4_000, None),
        (4_031, 4_000, Some(NotYetValid)),
        (4_300, 4_000, Some(NotYetValid)),
        (3_569, 3_569, Some(NotYetValid)),
        (3_570, 3_570, None),
        (7_199, 7_259, None),
        (7_199, 7_260, Some(StaleProof)),
        (7_200, 7_200, Some(Expired)),
        (90_000, 90_000, Some(Expired)),
    ] {
        assert_eq!(check(Some(shown), now), expected, "shown at {shown}, scanned at {now}");
    }
    assert_eq!(
        [3_569, 3_570, 7_199, 7_200].map(|now| check(None, now)),
        [Some(NotYetValid), None, None, Some(Expired)]
    );
}

#[test]
fn a_batch_covers_its_lifetime_without_a_gap_and_no_token_leaves_its_slot() {
    for second in [0, 1, 899, 900, 7_199, 21_599, 21_600] {
        let now = at(second);
        let batch = Validity::of_batch(now, DAY, 5);
        assert!(batch[0].valid_from <= now && now < batch[0].expires_at, "{second}");
        assert!(batch.windows(2).all(|pair| pair[0].expires_at == pair[1].valid_from));
        for (n, validity) in batch.iter().enumerate() {
            assert!(validity.is_in_order() && validity.expires_at <= validity.issued_at.plus(MAX_TOKEN_LIFETIME));
            assert_eq!(validity.slot(), now.as_secs() / 21_600 + n as i64);
            assert!(validity.expires_at.as_secs() <= (validity.slot() + 1) * 21_600);
            for time in [validity.issued_at, validity.valid_from, validity.expires_at] {
                assert_eq!(time.as_secs() % 900, 0, "a time that identifies its phone");
            }
        }
        let end = batch[batch.len() - 1].expires_at;
        assert_eq!(end.since(batch[0].issued_at), DAY, "{second}");
        assert_eq!(Validity::of_batch(now, DAY * 3, 99), batch, "{second}");
        assert_eq!(Validity::of_batch(now, DAY, 1), batch[..1]);
    }
    assert!(Validity::of_batch(at(0), Duration::from_secs(60), 5).is_empty());
}

#[test]
fn a_denial_tag_differs_by_subject_phone_slot_and_worsenings() {
    let (keys, subject) = (keys(), |n| SubjectId::from_bytes([n; 16]));
    let tags = [
        keys.denial_tag(subject(1), 1, 1, 0),
        keys.denial_tag(subject(2), 1, 1, 0),
        keys.denial_tag(subject(1), 2, 1, 0),
        keys.denial_tag(subject(1), 1, 2, 0),
        keys.denial_tag(subject(1), 1, 1, 1),
        TokenKeys::new(&PseudonymKey::from_bytes(&[8; 32])).denial_tag(subject(1), 1, 1, 0),
    ];
    let distinct: std::collections::BTreeSet<_> = tags.into_iter().collect();
    assert_eq!(distinct.len(), tags.len());
    assert_eq!(keys.denial_tag(subject(1), 1, 1, 0), tags[0]);
}

#[test]
fn a_phone_key_is_a_compressed_point_of_the_curve() {
    let key = PhoneKeyPair::generate().public();
    assert_eq!(PhoneKey::from_compressed(&key.compressed()), Some(key));
    let compressed = key.compressed();
    let changed = |at: usize, byte: u8| {
        let mut point = compressed;
        point[at] = byte;
        point
    };
    let above_p = [&[2][..], &[0xff; 32]].concat();
    // x = 0 is on the curve, x = 1 is not.
    let x = |x: u8| [&[2][..], &[0; 31], &[x]].concat();
    assert!(PhoneKey::from_compressed(&x(0)).is_some());
    for none in [&x(1)[..], &above_p, &changed(0, 4), &changed(0, 0), &[0], &[], &compressed[..32], &[0; 33]] {
        assert_eq!(PhoneKey::from_compressed(none), None, "{none:x?}");
    }
}

/// Codes of the program before phones had keys.
#[test]
fn a_code_of_format_1_still_opens_and_expires() {
    let key = IssuerKey::from_pkcs8(include_bytes!("../../../tests/soaks/corpus/keys/code")).unwrap();
    let issuers = IssuerKeys::new(vec![key.verifying_key()]);
    let issued_at = Time::from_secs(1_795_910_400);
    let open = |text: &str, now| open_at(text, &issuers, now);
    for code in
        [include_str!("../../../tests/soaks/corpus/code/least"), include_str!("../../../tests/soaks/corpus/code/most")]
    {
        let opened = open(code, issued_at).unwrap();
        assert!(opened.handle == Handle { version: Version(7), ..handle(None) } && opened.issuer == "xian");
        assert_eq!(open(code, issued_at.plus(Duration::from_secs(60))).err(), Some(CodeError::Expired));
        assert_eq!(verify(code, &issuers, issued_at).err(), Some(CodeError::Malformed));
    }
}

#[test]
fn another_text_of_a_code_is_malformed() {
    let issuer = issuer();
    let issuers = IssuerKeys::new(vec![issuer.verifying_key()]);
    for (code, now) in codes(&issuer, &snapshot()) {
        let bytes = bytes_of(&code).unwrap();
        let errors = |bytes: &[u8]| {
            let text = text_of(bytes);
            (open_at(&text, &issuers, now).err(), verify(&text, &issuers, now).err())
        };
        let malformed = (Some(CodeError::Malformed), Some(CodeError::Malformed));
        assert_eq!(errors(&bytes), (None, None));
        // An array of unknown length, one with a length in two bytes, and a byte behind.
        assert_eq!(errors(&[&[0x9f], &bytes[1..], &[0xff]].concat()), malformed);
        assert_eq!(errors(&[&[0x98, bytes[0] & 0x1f], &bytes[1..]].concat()), malformed);
        assert_eq!(errors(&[&bytes[..], &[0]].concat()), malformed);
        // A last pair of characters above 255.
        if bytes.len() % 2 == 1 {
            let last = usize::from(bytes[bytes.len() - 1]) + 256;
            let pair = [last % 45, last / 45].map(|digit| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"[digit]);
            let wrapped = format!("{}{}", &code[..code.len() - 2], std::str::from_utf8(&pair).unwrap());
            assert_eq!(open_at(&wrapped, &issuers, now).err(), Some(CodeError::Malformed));
        }
    }
}

#[test]
fn no_altered_byte_of_a_code_is_accepted() {
    let issuer = issuer();
    let issuers = IssuerKeys::new(vec![issuer.verifying_key()]);
    for (code, now) in codes_by(true, &issuer, &snapshot()) {
        let bytes = bytes_of(&code).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                let text = text_of(&altered);
                assert!(open_at(&text, &issuers, now).is_err(), "byte {at}, bit {bit}");
                let is_mac = at >= bytes.len() - MAC_BYTES;
                assert_eq!(verify(&text, &issuers, now).is_ok(), is_mac, "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn the_cose_key_set_has_the_accepted_keys() {
    let (key, other) = (issuer(), issuer());
    let keys = IssuerKeys::new(vec![other.verifying_key()]).with_revoked(vec![key.verifying_key()]);
    let set = CoseKeySet::from_slice(&keys.cose_key_set()).unwrap();
    assert_eq!((set.0.len(), keys.jwks().len()), (1, 1));
    assert_eq!(set.0[0].key_id, other.id());
    assert_eq!(set.0[0].to_sec1_octet_string().unwrap(), other.verifying_key().point());
}

#[test]
fn a_key_elsewhere_gets_the_digest_and_its_signature_is_the_tokens() {
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
    let pkcs8 = IssuerKey::generate();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
    let public = || IssuerKey::from_pkcs8(&pkcs8).unwrap().verifying_key();
    let claims = claims(snapshot(), None);
    let key = IssuerKey::elsewhere(public(), Box::new(Elsewhere(pair)));
    let code = claims.issue(&handle(None), &key, &handles(), &keys()).unwrap().bare();
    assert!(verify(&code, &IssuerKeys::new(vec![public()]), at(0)).is_ok());
    let broken = IssuerKey::elsewhere(public(), Box::new(Broken));
    assert_eq!(claims.issue(&handle(None), &broken, &handles(), &keys()).err(), Some(SignError));
}

/// A view with these segments: minutes from [`now`], and a colour.
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
    at(300)
}

#[test]
fn a_snapshot_has_only_coarse_times_towards_the_restriction() {
    use Colour::{Green, Red, Yellow};
    let validity = Validity { issued_at: at(0), valid_from: at(0), expires_at: at(7_200) };
    let of = |view: &View| Snapshot::of(view, at(0), now(), &validity);
    let changes = |segments: &[(u32, Colour)]| {
        let snapshot = of(&view(segments));
        (snapshot.colour, snapshot.changes)
    };
    assert_eq!(changes(&[(0, Green)]), (Green, vec![]));
    assert_eq!(changes(&[(0, Green), (20, Red)]), (Green, vec![(1, Red)]), "at minute 25, early");
    assert_eq!(changes(&[(0, Red), (20, Green)]), (Red, vec![(2, Green)]), "at minute 25, late");
    assert_eq!(changes(&[(0, Red), (25, Green)]), (Red, vec![(2, Green)]), "at minute 30");
    assert_eq!(changes(&[(0, Red), (20, Green), (24, Yellow)]), (Red, vec![(2, Yellow)]));
    assert_eq!(changes(&[(0, Green), (5, Red)]), (Red, vec![]), "before the token was issued");
    assert_eq!(changes(&[(0, Green), (115, Red)]), (Green, vec![(8, Red)]), "with the end of the token");
    assert_eq!(changes(&[(0, Green), (131, Red)]), (Green, vec![]), "after the token");

    let age = |milliseconds: i64| {
        let sampled_at = Time::from_millis(at(0).as_millis() - milliseconds);
        let test = TestKind::NucleicAcid;
        let shown = TestShown { test, result: TestOutcome::Negative, sampled_at, agency: "lab-7".into() };
        of(&View { tests: vec![shown], ..View::default() }).test
    };
    for (milliseconds, hours) in [(-1, 0), (0, 0), (1, 1), (3_600_000, 1), (3_600_001, 2), (86_399_000, 24)] {
        assert_eq!(age(milliseconds), Some((TestOutcome::Negative, hours)), "{milliseconds} ms");
    }
}

#[test]
fn a_long_name_is_cut_at_a_character() {
    let validity = Validity::of_bare(now(), HOUR);
    let name = |name: &str| {
        let view = View { name: Some(name.into()), ..View::default() };
        Snapshot::of(&view, now(), now(), &validity).name.unwrap()
    };
    assert_eq!(name("张*"), "张*");
    let long = name(&"张".repeat(14));
    assert_eq!(long, format!("{}…", "张".repeat(11)));
    let most = MAX_WRITTEN_NAME_BYTES;
    assert!(name(&"x".repeat(most + 1)).len() == most && name(&"x".repeat(most)) == "x".repeat(most));
}

#[test]
fn claims_of_later_programs_are_passed_over() {
    // The same claims with one more behind them, as COSE allows; out of order they are not.
    let read = |claim: i64| {
        let issued = claims(snapshot(), None).issue(&handle(None), &issuer(), &handles(), &keys()).unwrap();
        let mut reader = Reader::new(&issued.token);
        reader.array().unwrap();
        let (protected, _, payload) = (reader.bytes().unwrap(), reader.map(), reader.bytes().unwrap());
        let more = Writer::default().raw(&[payload[0] + 1]).raw(&payload[1..]).int(claim).text("x").finish();
        let token = Writer::default().array(4).bytes(protected).map(0).bytes(&more).bytes(&[0; 64]).finish();
        Token::read(&token).is_some()
    };
    assert_eq!([-65543, -70000, -65542, -65541, -65540, 9].map(read), [true, true, false, false, false, false]);
}

proptest! {
    #[test]
    fn a_code_is_never_laxer_than_the_live_view(
        steps in proptest::collection::vec((1..90u32, proptest::sample::select(Colour::ALL.to_vec())), 1..14),
        offset in 0..900i64,
        count in 1..6usize,
        bare in any::<bool>(),
    ) {
        let mut segments = vec![(0, Colour::Green)];
        for (minutes, colour) in steps {
            segments.push((segments[segments.len() - 1].0 + minutes, colour));
        }
        let (view, now) = (view(&segments), Time::from_secs(now().as_secs() + offset));
        let windows = if bare {
            vec![Validity::of_bare(now, Duration::from_secs(60))]
        } else {
            Validity::of_batch(now, DAY, count)
        };
        for validity in windows {
            let snapshot = Snapshot::of(&view, now, now, &validity);
            let written = snapshot.write(Writer::default()).finish();
            prop_assert!(Snapshot::read(&mut Reader::new(&written)).unwrap() == snapshot);
            let from = validity.valid_from.max(now).as_secs();
            // A code of a token's last second is accepted for a minute more.
            for second in (from..validity.expires_at.as_secs() + 60).step_by(29) {
                let at = Time::from_secs(second);
                let (said, live) = (snapshot.colour_at(&validity, at), view.colour_at(at).colour());
                prop_assert!(said >= live, "{} s: {:?}", second - from, said);
            }
        }
    }

    #[test]
    fn noise_never_panics(text in "(YM1:)?[0-9A-Z $%*+./:-]{0,200}", bytes in any::<Vec<u8>>()) {
        let issuers = IssuerKeys::default();
        for text in [text, format!("YM1:{}", base45::encode(&bytes))] {
            prop_assert!(open_at(&text, &issuers, now()).is_err());
            prop_assert!(verify(&text, &issuers, now()).is_err());
        }
    }
}
