//! The vectors of `docs/code-format.md`: `tests/vectors/code.json`, which `tests/vectors/check.py` reads too.
//! `UPDATE_VECTORS=1` makes them again, with new signatures. The keys are for tests only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cbor::{Reader, Writer};
use super::*;
use crate::event::{Colour, TestOutcome};
use crate::subject::{PseudonymKey, SubjectId};
use crate::time::DAY;
use crate::view::Version;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/code.json");
pub(crate) const ISSUER: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2ycMDPuWcaCESU4qc6tmVOfZrgxsS9s3BW8RSReq1pmhRAN\
    CAATEsEfLxFE35zu215UF5XDkggTxtyG4sz+bkfVWrfwhV6ihT0tqFcuFCHDajGD3PU7+vM7IL1COP36a5sed3dhA";
pub(crate) const OTHER_ISSUER: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/e2sy9/c6ATOP2IfYM5gU/PoRt+q6wC+laAF3njCbbKhRA\
    NCAAQ0ZDYKw7gNrG000TtYTL8IVMHmPRraB2KKB7JkbmK30XcOvUr0l2zxe3eG3pja+TQkKJWizRSOzVRaAQo0XENx";
const PHONE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgV5BhwPYGOIc1gm6hCbfDiLHuAX5SVKXXfjw9UepbvhahRANC\
    AASAWWo1AkefpUcaHZQngUzY6LctRngcLd0KIlIPTjnu9dEfCtHo4pVRbU8gk5hoKHS6CW1DI/fLmHtCYWol6Bjc";
const OTHER_PHONE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcK5zrFRAWcmYqTFTxAlbEWxAtdEZMtbdLqzNmS0r+s2hRA\
    NCAAT70yPEX0dWUc7QggbDUG0l2dvsb73pvW8I0An7OVFA336NuK83jYvA/46frR8qbS74oGzigRyxU6srw+TLIXUI";

/// The issuer's region.
const REGION: &str = "xian";
/// 2026-11-30T00:00:00Z, the start of the token's slot.
const VALID_FROM: i64 = 1_795_996_800;
const ACCEPTED: &str = "accepted";

#[derive(Serialize, Deserialize)]
struct Vectors {
    about: String,
    /// Accepted issuers, a JSON Web Key Set.
    issuers: serde_json::Value,
    /// In hexadecimal; for read nodes. The second one is the seal secret of the id 0.
    pseudonym_key: String,
    seal_key: String,
    codes: Vec<Vector>,
}

#[derive(Serialize, Deserialize)]
struct Vector {
    name: String,
    text: String,
    now: Time,
    /// What a scanner without a network says: `accepted`, or the reason for which it refuses.
    offline: String,
    /// What a read node says before it looks the view up; `None`: no read node issues such a token.
    online: Option<String>,
    /// What an accepted code says without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<Says>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Says {
    issuer: String,
    /// None on paper.
    colour: Option<Colour>,
    /// The result, and the greatest age in seconds.
    test: Option<(TestOutcome, u64)>,
    doses: u8,
    complete: bool,
    name: Option<String>,
    /// On paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// In hexadecimal.
    denial_tag: Option<String>,
    /// A guardian shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    guardian: bool,
}

struct Maker {
    issuer: IssuerKey,
    keys: TokenKeys,
    phone: PhoneKeyPair,
    codes: Vec<Vector>,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn der(key: &str) -> Vec<u8> {
    STANDARD.decode(key).unwrap()
}

pub(crate) fn issuer(key: &str) -> IssuerKey {
    IssuerKey::from_pkcs8(&der(key)).unwrap()
}

fn token_keys() -> TokenKeys {
    TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32]))
}

fn handles(secret: u8) -> SealKeys {
    SealKeys::new(&[[secret; 32]], "handle")
}

fn at(second: i64) -> Time {
    Time::from_secs(VALID_FROM + second)
}

/// What both ways of checking say of a vector, and what the code says.
fn judge(text: &str, now: Time, issuers: &IssuerKeys) -> (String, String, Option<Says>) {
    let (handles, tokens) = (&handles(8), &token_keys());
    let online = open(text, OpeningKeys { handles, tokens, issuers }, now, MAX_PROOF_AGE);
    let offline = verify(text, issuers, now);
    let says = offline.as_ref().ok().map(|claims| {
        let Claims { issuer, validity, phone, snapshot, paper, guardian } = claims;
        let snapshot = snapshot.as_ref();
        let test = snapshot.and_then(|snapshot| snapshot.test_at(validity, now));
        let (doses, complete) = snapshot.map_or((0, false), |snapshot| snapshot.vaccination);
        let Paper { name, document } = paper.clone().unwrap_or_default();
        Says {
            issuer: issuer.clone(),
            colour: snapshot.map(|snapshot| snapshot.colour_at(validity, now)),
            test: test.map(|(result, age)| (result, age.as_secs())),
            doses,
            complete,
            name: snapshot.map_or(name, |snapshot| snapshot.name.clone()),
            document,
            denial_tag: phone.map(|phone| hex(&phone.denial_tag.0)),
            guardian: *guardian,
        }
    });
    let word = |error: Option<CodeError>| error.map_or(ACCEPTED, CodeError::as_str).to_owned();
    (word(offline.err()), word(online.err()), says)
}

impl Maker {
    fn claims(&self) -> Claims {
        let validity = Validity::of_batch(at(-7_200), DAY, 2)[1];
        let denial_tag = self.keys.denial_tag(self.handle().subject, 1, validity.slot(), 0);
        let snapshot = Snapshot {
            lag: Duration::ZERO,
            colour: Colour::Green,
            changes: vec![(8, Colour::Yellow), (20, Colour::Green)],
            test: Some((TestOutcome::Negative, 31)),
            vaccination: (3, true),
            name: Some("张*".into()),
        };
        let phone = Some(PhoneClaims { key: self.phone.public(), denial_tag });
        Claims { issuer: REGION.into(), validity, phone, snapshot: Some(snapshot), paper: None, guardian: false }
    }

    fn handle(&self) -> Handle {
        Handle { subject: SubjectId::from_bytes([9; 16]), version: Version(7), phone: Some(1) }
    }

    fn issue(&self, claims: &Claims) -> Issued {
        let phone = claims.phone.map(|_| 1).or(claims.paper.as_ref().map(|_| 2));
        let handle = Handle { phone, ..self.handle() };
        claims.issue(&handle, &self.issuer, &handles(8), &self.keys).unwrap()
    }

    fn bare(&self) -> Claims {
        let validity = Validity::of_bare(at(100), Duration::from_secs(60));
        Claims { validity, phone: None, ..self.claims() }
    }

    fn paper(&self) -> Claims {
        let validity = Validity::of_bare(at(100), MAX_PAPER_LIFETIME);
        let paper = Some(Paper::new(Some("张*"), Some("610************017")));
        Claims { validity, snapshot: None, paper, ..self.bare() }
    }

    fn show(&self, issued: &Issued, second: i64) -> String {
        self.phone.show(&issued.token, &issued.secret, at(second))
    }

    fn add(&mut self, name: &str, text: String, now: i64, expected: &str) {
        self.add_apart(name, text, now, expected, Some(expected));
    }

    fn add_apart(&mut self, name: &str, text: String, now: i64, offline: &str, online: Option<&str>) {
        let issuers = IssuerKeys::new(vec![self.issuer.verifying_key()]);
        let (says_offline, says_online, says) = judge(&text, at(now), &issuers);
        assert_eq!(says_offline, offline, "{name}");
        assert!(online.is_none_or(|online| online == says_online), "{name}: {says_online}");
        let (offline, online) = (offline.to_owned(), online.map(str::to_owned));
        self.codes.push(Vector { name: name.to_owned(), text, now: at(now), offline, online, says });
    }

    /// The phone's code of its token after a change of protected header and payload, signed again, and of the whole.
    fn altered(
        &self,
        change: impl Fn(&mut Vec<u8>, &mut Vec<u8>),
        whole: impl Fn(&[u8], &[u8], &[u8]) -> Vec<u8>,
    ) -> String {
        let issued = self.issue(&self.claims());
        let mut reader = Reader::new(&issued.token);
        reader.array().unwrap();
        let mut protected = reader.bytes().unwrap().to_vec();
        reader.map().unwrap();
        let mut payload = reader.bytes().unwrap().to_vec();
        change(&mut protected, &mut payload);
        let signed = sign1::sign(&self.issuer, &protected, &[], &payload).unwrap();
        let signature = signed[signed.len() - 64..].to_vec();
        self.phone.show(&whole(&protected, &payload, &signature), &issued.secret, at(100))
    }

    fn with_payload(&self, from: &[u8], to: &[u8]) -> String {
        self.altered(|_, payload| replace(payload, from, to), sign1)
    }

    fn with_header(&self, from: &[u8], to: &[u8]) -> String {
        self.altered(|protected, _| replace(protected, from, to), sign1)
    }

    fn current(&mut self) {
        let issued = self.issue(&self.claims());
        let shown = self.show(&issued, 100);
        self.add("shown just now", shown.clone(), 100, ACCEPTED);
        self.add("a minute later", shown.clone(), 160, ACCEPTED);
        self.add("a screenshot of 90 seconds ago", shown.clone(), 190, "stale_proof");
        self.add("the phone's clock is 5 minutes slow", shown.clone(), 400, "stale_proof");
        self.add("the phone's clock is 30 seconds ahead", shown.clone(), 70, ACCEPTED);
        self.add("the phone's clock is 5 minutes ahead", shown, -200, "not_yet_valid");
        for (name, second, expected) in [
            ("before the token's time", -60, "not_yet_valid"),
            ("in the token's first second", 0, ACCEPTED),
            ("before the change of colour", 7_199, ACCEPTED),
            ("after the change of colour", 7_200, ACCEPTED),
            ("after the second change of colour", 18_000, ACCEPTED),
            ("in the token's last second", 21_599, ACCEPTED),
            ("after the token's time", 21_600, "expired"),
            ("a day after the token's time", 108_000, "expired"),
        ] {
            self.add(name, self.show(&issued, second), second, expected);
        }
        let bare = self.issue(&self.bare());
        self.add("without a phone's key", bare.bare(), 100, ACCEPTED);
        self.add("without a phone's key, expired", bare.bare(), 160, "expired");
        self.add("without a phone's key, from the future", bare.bare(), 69, "not_yet_valid");
        let least =
            Snapshot { changes: vec![], test: None, vaccination: (0, false), name: None, ..snapshot(&self.claims()) };
        let least = self.issue(&Claims { snapshot: Some(least), ..self.claims() });
        self.add("of somebody without tests and doses", self.show(&least, 100), 100, ACCEPTED);
    }

    fn printed(&mut self) {
        let paper = self.issue(&self.paper()).bare();
        self.add("printed just now", paper.clone(), 100, ACCEPTED);
        self.add("printed 29 days ago", paper.clone(), 100 + 29 * 86_400, ACCEPTED);
        self.add("printed 30 days ago", paper.clone(), 100 + 30 * 86_400, "expired");
        self.add("printed tomorrow", paper.clone(), 100 - 86_400, "not_yet_valid");
        let nobody = Claims { paper: Some(Paper::default()), ..self.paper() };
        self.add("printed for somebody without a name", self.issue(&nobody).bare(), 100, ACCEPTED);
        let issued = self.issue(&self.paper());
        self.add("printed, shown by a phone", self.show(&issued, 100), 100, "malformed");
        let both = Claims { phone: self.claims().phone, ..self.paper() };
        self.add("printed, with a phone's key", self.show(&self.issue(&both), 100), 100, "malformed");
        let mut altered = bytes_of(&paper).unwrap();
        let name = altered.windows(4).position(|bytes| bytes == "张*".as_bytes()).unwrap();
        altered[name + 3] = b'x';
        self.add("printed, with another name", text_of(&altered), 100, "forged");
    }

    fn by_a_guardian(&mut self) {
        let by = |claims: Claims| Claims { guardian: true, ..claims };
        let issued = self.issue(&by(self.claims()));
        self.add("shown by a guardian", self.show(&issued, 100), 100, ACCEPTED);
        let bare = self.issue(&by(self.bare())).bare();
        self.add("shown by a guardian without a phone's key", bare, 100, ACCEPTED);
        self.add("printed by a guardian", self.issue(&by(self.paper())).bare(), 100, ACCEPTED);
        let claim = |value: &[u8]| [&Writer::default().int(-65_542).finish()[..], value].concat();
        let mut reader = Reader::new(&issued.token);
        reader.array().unwrap();
        let protected = reader.bytes().unwrap();
        reader.map().unwrap();
        let mut payload = reader.bytes().unwrap().to_vec();
        payload[0] -= 1;
        replace(&mut payload, &claim(&[0xf5]), &[]);
        let token = sign1(protected, &payload, reader.bytes().unwrap());
        let without = self.phone.show(&token, &issued.secret, at(100));
        self.add("without the guardian's claim that it was issued with", without, 100, "forged");
        let with = |value: &[u8], more: u8| {
            let change = |_: &mut Vec<u8>, payload: &mut Vec<u8>| {
                payload[0] += more;
                payload.extend_from_slice(value);
            };
            self.altered(change, sign1)
        };
        let later = Writer::default().int(-65_543).text("later").finish();
        let texts = [
            ("a guardian's claim that is false", with(&claim(&[0xf4]), 1), "malformed"),
            ("a guardian's claim that is a number", with(&claim(&[0x01]), 1), "malformed"),
            ("a guardian's claim twice", with(&[claim(&[0xf5]), claim(&[0xf5])].concat(), 2), "malformed"),
            ("a guardian's claim behind a later one", with(&[later.clone(), claim(&[0xf5])].concat(), 2), "malformed"),
            ("a later claim behind a guardian's", with(&[claim(&[0xf5]), later].concat(), 2), ACCEPTED),
        ];
        for (name, text, expected) in texts {
            self.add_apart(name, text, 100, expected, None);
        }
    }

    fn not_genuine(&mut self) {
        let (issued, other) = (self.issue(&self.claims()), self.issue(&self.claims()));
        let bytes = bytes_of(&self.show(&issued, 100)).unwrap();
        let thief = PhoneKeyPair::from_pkcs8(&der(OTHER_PHONE)).unwrap();
        let text = thief.show(&issued.token, &other.secret, at(100));
        self.add("shown with another phone's key", text, 100, "wrong_phone");
        let text = thief.show(&issued.token, &issued.secret, at(100));
        self.add_apart("the same by who has the token's secret", text, 100, "wrong_phone", Some(ACCEPTED));
        let head = 1 + Writer::default().bytes(&issued.token).finish().len();
        let later = [&bytes[..head], &Writer::default().int(at(300).as_secs()).finish(), &bytes[head + 5..]].concat();
        self.add("an old proof with a new time", text_of(&later), 300, "wrong_phone");
        let swapped = Writer::default().array(4).bytes(&other.token).raw(&bytes[head..]).finish();
        self.add("another token of the phone with this one's proof", text_of(&swapped), 100, "wrong_phone");
        let mut altered = bytes.clone();
        *altered.last_mut().unwrap() ^= 1;
        self.add_apart("an altered MAC", text_of(&altered), 100, ACCEPTED, Some("wrong_phone"));
        let mut altered = bytes_of(&self.issue(&self.bare()).bare()).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        self.add_apart("an altered MAC without a phone's key", text_of(&altered), 100, ACCEPTED, Some("forged"));
        let mut altered = bytes.clone();
        altered[head - 1] ^= 1;
        self.add("an altered issuer's signature", text_of(&altered), 100, "forged");
        let mut token = issued.token.clone();
        // Doses: from 3 to 4.
        replace(&mut token, b"\x03\xf5\x64", b"\x04\xf5\x64");
        let text = self.phone.show(&token, &issued.secret, at(100));
        self.add("an altered snapshot", text, 100, "forged");
        let elsewhere = self.claims().issue(&self.handle(), &issuer(OTHER_ISSUER), &handles(9), &self.keys).unwrap();
        self.add("of an unknown issuer", self.show(&elsewhere, 100), 100, "unknown_issuer");
    }

    fn malformed_around_the_token(&mut self) {
        let issued = self.issue(&self.claims());
        let text = self.show(&issued, 100);
        let bytes = bytes_of(&text).unwrap();
        let bare = self.issue(&self.bare());
        let with_proof = self.phone.show(&bare.token, &bare.secret, at(100));
        let items = |bytes: &[u8], items: u8| text_of(&[&[0x80 + items], &bytes[1..]].concat());
        let one = Writer::default().array(1).bytes(&issued.token).finish();
        let three = items(&bytes[..bytes.len() - 9], 3);
        let five = items(&[&bytes[..], &[0x48], &[0; 8]].concat(), 5);
        let head = 1 + Writer::default().bytes(&issued.token).finish().len();
        let long_time = [&bytes[..head], &[0x1b, 0, 0, 0, 0], &bytes[head + 1..]].concat();
        let float_time = [&bytes[..head], &[0xfa], &bytes[head + 1..]].concat();
        for (name, text) in [
            ("nothing", String::new()),
            ("a prefix alone", "YM1:".to_owned()),
            ("another prefix", text.replace("YM1:", "HC1:")),
            ("a prefix in lower case", text.replace("YM1:", "ym1:")),
            ("a character outside Base45", text.replace("YM1:", "YM1:!")),
            ("cut short", text[..text.len() - 3].to_owned()),
            ("oversized", format!("{text}{}", "0".repeat(1_500))),
            ("a byte behind the array", text_of(&[&bytes[..], &[0]].concat())),
            ("a token alone", text_of(&one)),
            ("no MAC", three),
            ("an item more", five),
            ("a token for a phone without its proof", issued.bare()),
            ("a token without a phone with a proof", with_proof),
            ("an array of unknown length", text_of(&[&[0x9f], &bytes[1..], &[0xff]].concat())),
            ("a time in more bytes than it needs", text_of(&long_time)),
            ("a time as a float", text_of(&float_time)),
        ] {
            self.add(name, text, 100, "malformed");
        }
    }

    fn malformed_tokens(&mut self) {
        let tagged = |protected: &[u8], payload: &[u8], signature: &[u8]| {
            [&[0xd2][..], &sign1(protected, payload, signature)].concat()
        };
        // COSE_Sign: a list of signatures, each with its headers.
        let many = |protected: &[u8], payload: &[u8], signature: &[u8]| {
            let sign = Writer::default().array(4).bytes(protected).map(0).bytes(payload).array(2);
            let one = |writer: Writer| writer.array(3).bytes(protected).map(0).bytes(signature);
            one(one(sign)).finish()
        };
        let twice = |protected: &[u8], payload: &[u8], signature: &[u8]| {
            [&[0x85], &sign1(protected, payload, signature)[1..], &[0x58, 64], signature].concat()
        };
        let unprotected = |protected: &[u8], payload: &[u8], signature: &[u8]| {
            let sign = Writer::default().array(4).bytes(protected).map(1).int(4).bytes(b"other");
            sign.bytes(payload).bytes(signature).finish()
        };
        let x = self.phone.public().x;
        let with_x = |x: &[u8]| Writer::default().int(-2).bytes(x).finish();
        let keep = |_: &mut Vec<u8>, _: &mut Vec<u8>| ();
        let iat = Writer::default().int(6).int(at(-7_200).as_secs()).finish();
        let (exp, early) = (
            Writer::default().int(4).int(at(21_600).as_secs()).finish(),
            Writer::default().int(4).int(at(0).as_secs()).finish(),
        );
        let more_claims = |payload: &mut Vec<u8>, by: u8| payload[0] += by;
        for (name, text) in [
            ("a second signature", self.altered(keep, twice)),
            ("a COSE_Sign with two signatures", self.altered(keep, many)),
            ("a tag", self.altered(keep, tagged)),
            ("an unprotected header", self.altered(keep, unprotected)),
            ("the algorithm ES384", self.with_header(&[1, 0x26], &[1, 0x38, 34])),
            (
                "no key id",
                self.altered(
                    |protected, _| {
                        protected.truncate(3);
                        protected[0] = 0xa1;
                    },
                    sign1,
                ),
            ),
            ("a header parameter twice", self.with_header(&[0xa2, 1, 0x26], &[0xa3, 1, 0x26, 1, 0x26])),
            (
                "a claim twice",
                self.altered(
                    |_, payload| {
                        more_claims(payload, 1);
                        replace(payload, &iat, &[&iat[..], &iat].concat());
                    },
                    sign1,
                ),
            ),
            (
                "claims in another order",
                self.altered(
                    |_, payload| {
                        replace(payload, &exp, &[]);
                        replace(payload, &iat, &[&iat[..], &exp].concat());
                    },
                    sign1,
                ),
            ),
            (
                "no claim of its end",
                self.altered(
                    |_, payload| {
                        payload[0] -= 1;
                        replace(payload, &exp, &[]);
                    },
                    sign1,
                ),
            ),
            ("an end before its begin", self.with_payload(&exp, &early)),
            ("the curve P-384", self.with_payload(&[0x20, 1, 0x21], &[0x20, 2, 0x21])),
            ("the curve Ed25519", self.with_payload(&[0xa4, 1, 2, 0x20, 1, 0x21], &[0xa4, 1, 1, 0x20, 6, 0x21])),
            ("a coordinate cut short", self.with_payload(&with_x(&x), &with_x(&x[..31]))),
            (
                "a point with both coordinates",
                self.altered(
                    |_, payload| {
                        let at = payload.windows(35).position(|bytes| bytes == with_x(&x)).unwrap() + 35;
                        payload.splice(at..at + 2, [&[0x22, 0x58, 32][..], &[1; 32]].concat());
                    },
                    sign1,
                ),
            ),
            ("a colour without a meaning", self.with_payload(&[0x85, 0, 8, 1], &[0x85, 9, 8, 1])),
        ] {
            self.add(name, text, 100, "malformed");
        }
        // Signed and sealed by the issuer, which never does: the point was checked when the phone sent it.
        let none = |last: u8| {
            let mut x = [0; 32];
            x[31] = last;
            x
        };
        for (name, x) in [("x of no point", none(1)), ("x above the field", [0xff; 32])] {
            let phone = self.claims().phone.map(|phone| PhoneClaims { key: PhoneKey { x, y_is_odd: false }, ..phone });
            let issued = self.issue(&Claims { phone, ..self.claims() });
            self.add_apart(name, self.show(&issued, 100), 100, "malformed", None);
        }
    }
}

fn snapshot(claims: &Claims) -> Snapshot {
    claims.snapshot.clone().unwrap()
}

fn sign1(protected: &[u8], payload: &[u8], signature: &[u8]) -> Vec<u8> {
    Writer::default().array(4).bytes(protected).map(0).bytes(payload).bytes(signature).finish()
}

/// The bytes of the first vector.
pub(crate) fn first_code() -> Vec<u8> {
    bytes_of(&read::<Vectors>(PATH).codes[0].text).unwrap()
}

fn read<V: DeserializeOwned>(path: &str) -> V {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The vectors of a file, which `UPDATE_VECTORS=1` replaces by those just made.
pub(crate) fn kept<V: Serialize + DeserializeOwned>(path: &str, made: &V) -> V {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(made).unwrap() + "\n").unwrap();
    }
    read(path)
}

/// Replaces the one place of these bytes.
pub(crate) fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let places: Vec<_> = bytes.windows(from.len()).enumerate().filter(|(_, found)| *found == from).collect();
    let [(at, _)] = places[..] else { panic!("{from:x?} is there {} times", places.len()) };
    bytes.splice(at..at + from.len(), to.iter().copied());
}

fn made() -> Vectors {
    let phone = PhoneKeyPair::from_pkcs8(&der(PHONE)).unwrap();
    let mut maker = Maker { issuer: issuer(ISSUER), keys: token_keys(), phone, codes: Vec::new() };
    maker.current();
    maker.printed();
    maker.not_genuine();
    maker.malformed_around_the_token();
    maker.malformed_tokens();
    maker.by_a_guardian();
    let issuers = IssuerKeys::new(vec![maker.issuer.verifying_key()]).jwks();
    Vectors {
        about: "docs/code-format.md. The keys are for tests only.".into(),
        issuers: serde_json::json!({ "keys": issuers }),
        pseudonym_key: hex(&[7; 32]),
        seal_key: hex(&[8; 32]),
        codes: maker.codes,
    }
}

#[test]
fn the_vectors_are_judged_as_they_say() {
    let made = made();
    let kept = kept(PATH, &made);
    let names = |vectors: &Vectors| vectors.codes.iter().map(|code| code.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&made), "UPDATE_VECTORS=1 makes them again");
    assert_eq!((&kept.issuers, &kept.pseudonym_key), (&made.issuers, &made.pseudonym_key));
    let issuers = IssuerKeys::new(vec![issuer(ISSUER).verifying_key()]);
    for Vector { name, text, now, offline, online, says } in kept.codes {
        let (judged_offline, judged_online, said) = judge(&text, now, &issuers);
        assert_eq!((judged_offline, said), (offline, says), "{name}");
        assert!(online.is_none_or(|online| online == judged_online), "{name}: {judged_online}");
    }
}
