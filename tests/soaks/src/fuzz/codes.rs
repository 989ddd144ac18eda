//! The reader of codes (`YM1:…`): a read node and a scanner without a network accept what was issued, and nothing else.

use std::time::Duration;

use yima_schema::code::{
    Claims, Handle, IssuerKey, IssuerKeys, MAX_PROOF_AGE, OpeningKeys, Paper, PhoneClaims, PhoneKeyPair, Snapshot,
    TokenKeys, Validity, open, verify,
};
use yima_schema::event::{Colour, TestOutcome};
use yima_schema::seal::SealKeys;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::DAY;
use yima_schema::view::Version;

use super::corpus::Corpus;
use super::readers::Outcome;
use super::tokens::{Genuine, issued_at};

/// Characters of the MAC, which is checked by read nodes alone, at the end of a code: 8 bytes, in Base45 three
/// characters each two, or 9 of which one is alone.
pub(super) const MAC_CHARS: usize = 14;

/// Keys of the corpus, and what they issue.
pub(super) struct Issuing {
    pub(super) issuer: IssuerKey,
    handles: SealKeys,
    keys: TokenKeys,
    phone: PhoneKeyPair,
}

impl Issuing {
    pub(super) fn new(corpus: &Corpus) -> Self {
        let issuer = corpus.once("keys/code", IssuerKey::generate);
        Self {
            issuer: IssuerKey::from_pkcs8(&issuer).expect("the corpus has a key"),
            handles: SealKeys::new(&[[1; 32]], "handle"),
            keys: TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32])),
            phone: PhoneKeyPair::generate(),
        }
    }

    /// Tokens with much in them, without a phone and for this one (PKCS#8).
    pub(super) fn tokens(&self, phone: &[u8]) -> [Vec<u8>; 2] {
        let phone = PhoneKeyPair::from_pkcs8(phone).expect("the corpus has a key").public();
        [None, Some(phone)].map(|phone| {
            let mut claims = self.claims(phone.is_some(), true);
            claims.phone = claims.phone.zip(phone).map(|(claimed, key)| PhoneClaims { key, ..claimed });
            let issued = claims.issue(&handle(phone.map(|_| 1)), &self.issuer, &self.handles, &self.keys);
            issued.expect("a key of this process signs").token
        })
    }

    fn claims(&self, has_phone: bool, is_long: bool) -> Claims {
        let least = Snapshot {
            lag: Duration::ZERO,
            colour: Colour::Green,
            changes: Vec::new(),
            test: None,
            vaccination: (0, false),
            name: None,
        };
        let most = Snapshot {
            changes: vec![(8, Colour::Red), (20, Colour::Green)],
            test: Some((TestOutcome::Negative, 31)),
            vaccination: (3, true),
            name: Some("张*".into()),
            ..least.clone()
        };
        let validity = if has_phone {
            Validity::of_batch(issued_at(), DAY, 1)[0]
        } else {
            Validity::of_bare(issued_at(), MAX_PROOF_AGE)
        };
        let denial_tag = self.keys.denial_tag(handle(None).subject, 1, validity.slot(), 0);
        let phone = has_phone.then(|| PhoneClaims { key: self.phone.public(), denial_tag });
        Claims {
            issuer: "xian".into(),
            validity,
            phone,
            snapshot: Some(if is_long { most } else { least }),
            paper: None,
            guardian: false,
        }
    }

    fn bare(&self, is_long: bool) -> String {
        let issued = self.claims(false, is_long).issue(&handle(None), &self.issuer, &self.handles, &self.keys);
        issued.expect("a key of this process signs").bare()
    }

    fn paper(&self) -> String {
        let paper = Some(Paper::new(Some("张*"), Some("610************017")));
        let claims = Claims { snapshot: None, paper, ..self.claims(false, false) };
        let issued = claims.issue(&handle(Some(2)), &self.issuer, &self.handles, &self.keys);
        issued.expect("a key of this process signs").bare()
    }

    fn shown(&self, is_long: bool) -> String {
        self.show(&self.claims(true, is_long))
    }

    fn by_guardian(&self) -> String {
        self.show(&Claims { guardian: true, ..self.claims(true, true) })
    }

    fn show(&self, claims: &Claims) -> String {
        let issued = claims.issue(&handle(Some(1)), &self.issuer, &self.handles, &self.keys);
        let issued = issued.expect("a key of this process signs");
        self.phone.show(&issued.token, &issued.secret, issued_at())
    }
}

fn handle(phone: Option<u64>) -> Handle {
    Handle { subject: SubjectId::from_bytes([9; 16]), version: Version(7), phone }
}

/// Codes of phones with and without keys, and those of the program before.
pub(super) fn codes(corpus: &Corpus) -> impl Fn(&str) -> Result<Outcome, String> + use<> {
    let issuing = Issuing::new(corpus);
    let kept: &dyn Fn() -> String = &|| panic!("the corpus has codes of format 1, which is not issued any more");
    let format_1 = Genuine::of(corpus, "code", &[("least", kept), ("most", kept)]);
    let genuine = Genuine::of(
        corpus,
        "code",
        &[
            ("least", kept),
            ("most", kept),
            ("bare-least", &|| issuing.bare(false)),
            ("bare-most", &|| issuing.bare(true)),
            ("paper", &|| issuing.paper()),
            ("phone-least", &|| issuing.shown(false)),
            ("phone-most", &|| issuing.shown(true)),
            ("phone-guardian", &|| issuing.by_guardian()),
        ],
    );
    let issuers = IssuerKeys::new(vec![issuing.issuer.verifying_key()]);
    let now = issued_at();
    move |text| {
        // A scanner may add white space.
        let text = text.trim();
        let keys = OpeningKeys { handles: &issuing.handles, tokens: &issuing.keys, issuers: &issuers };
        let online = open(text, keys, now, MAX_PROOF_AGE);
        let offline = verify(text, &issuers, now);
        if offline.is_ok() && !genuine.begins_with(text, MAC_CHARS) {
            return Err("a text that was not issued is accepted without a network".into());
        }
        if online.is_ok() && offline.is_err() && !format_1.begins_with(text, 0) {
            return Err("a code is accepted, but not without a network".into());
        }
        genuine.judge(text, online.is_ok())
    }
}
