use proptest::prelude::*;

use super::*;
use crate::event::{Colour, TestOutcome};
use crate::seal::SealKeys;
use crate::subject::SubjectId;
use crate::time::Time;
use crate::view::Version;

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
            test: Some((TestOutcome::Negative, Time::from_secs(1_789_990_000))),
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
    let code = sign(&claims(&seals), &key);
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    let opened = open(&format!(" {code}\r\n"), &keys).unwrap();
    assert!(opened.snapshot == claims(&seals).snapshot);
    assert_eq!(Handle::open(&opened.handle, &seals).unwrap().version, Version(7));
    assert!(Handle::open(&opened.handle, &SealKeys::new(&[[2; 32]], "handle")).is_none());
    // QR version 12 at level L holds 535 alphanumeric characters (ISO/IEC 18004 table 7).
    assert!(code.len() <= 535, "{}", code.len());
}

#[test]
fn each_kind_of_bad_code_has_its_error() {
    let (key, other, seals) = (issuer(), issuer(), SealKeys::new(&[[1; 32]], "handle"));
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    let error = |text: &str| open(text, &keys).err();
    assert_eq!(error(&sign(&claims(&seals), &other)), Some(CodeError::UnknownIssuer));
    // Signed by another key under the id of the genuine key.
    let imposter = IssuerKeys::new(vec![keys::VerifyingKey::with_id_of(&key, &other)]);
    assert_eq!(open(&sign(&claims(&seals), &key), &imposter).err(), Some(CodeError::Forged));
    for malformed in ["", "HELLO", "YM1:", "YM1:@@", "YM1:BB8", "HC1:6BF", &format!("YM1:{}", "A".repeat(5_000))] {
        assert_eq!(error(malformed), Some(CodeError::Malformed), "{malformed:.20}");
    }
}

proptest! {
    #[test]
    fn an_altered_code_never_opens(at in 4..500usize, by in 1..45u8) {
        const ALPHABET: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
        let (key, seals) = (issuer(), SealKeys::new(&[[1; 32]], "handle"));
        let keys = IssuerKeys::new(vec![key.verifying_key()]);
        let mut code = sign(&claims(&seals), &key).into_bytes();
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
