//! The offline bundle of a running process, read as a checkpoint reads it that goes offline afterwards.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yima_harness::{Options, Yima, new_person, now, until};
use yima_schema::bundle::{Blob, Index, PartName, TagSet, cover};
use yima_schema::code::{Claims, DenialTag, IssuerKeys, VerifyingKey, verify};
use yima_schema::time::{HOUR, Time};

use crate::phones::{Tokens, register};

/// A release, with the parts that cover it.
pub struct Bundle {
    pub index: Index,
    parts: Vec<(i64, TagSet)>,
}

/// The issuers' keys, as a scanner takes them.
pub fn issuers(yima: &Yima) -> IssuerKeys {
    let keys = yima.http().get_with(&format!("{}/v1/keys", yima.read_url()), &[]).expect("a whole answer").json(200);
    let key = |key: &serde_json::Value| {
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a text")).expect("base64url");
        VerifyingKey::from_point(&[&[4][..], &coordinate("x"), &coordinate("y")].concat()).expect("a point")
    };
    IssuerKeys::new(keys["keys"].as_array().expect("a list").iter().map(key).collect())
}

impl Bundle {
    /// The newest release that a read node serves; `None` before the first.
    pub fn fetch(yima: &Yima) -> Option<Self> {
        let get = |path: &str| {
            let url = format!("{}/v1/offline-bundle{path}", yima.read_url());
            yima.http().get_with(&url, &[]).expect("a whole answer")
        };
        let index = get("");
        if index.status == 503 {
            return None;
        }
        assert_eq!((index.status, index.header("content-type")), (200, "application/cose"));
        assert!(index.header("cache-control").starts_with("public, max-age="), "{}", index.header("cache-control"));
        let index = Index::open(&index.body, &issuers(yima)).expect("a genuine index");
        let part = |slot: i64, part: &PartName| {
            let hex: String = part.blob.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            let reply = get(&format!("/{hex}"));
            assert_eq!((reply.status, Blob::of(&reply.body)), (200, part.blob));
            (slot, TagSet::decode(&reply.body).expect("a part"))
        };
        let parts = index.denylist.iter().flat_map(|slot| {
            let cover = cover(&slot.parts, index.released_at, |_| false).expect("a cover");
            cover.iter().map(|name| part(slot.slot, name)).collect::<Vec<_>>()
        });
        let parts = parts.collect();
        Some(Self { index, parts })
    }

    /// Waits for a release of after that moment.
    pub fn of_after(yima: &Yima, moment: Time) -> Self {
        let mut found = None;
        until("a release", Duration::from_secs(30), || {
            found = Self::fetch(yima).filter(|bundle| bundle.index.released_at > moment);
            found.is_some()
        });
        found.expect("just found")
    }

    /// Whether a scanner without a network asks to check the code online.
    pub fn denies(&self, claims: &Claims) -> bool {
        let tag: DenialTag = claims.phone.expect("a phone's code").denial_tag;
        self.parts.iter().any(|(slot, tags)| *slot == claims.validity.slot() && tags.matches(tag))
    }
}

/// What a scanner without a network reads in a code.
pub fn read(code: &str, issuers: &IssuerKeys) -> Claims {
    verify(code, issuers, now()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_code_of_before_a_positive_test_is_denied_from_the_next_release_on_and_one_of_afterwards_is_not() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    assert_eq!(yima.event(&lab, &person.test("t-1", "negative", HOUR)), "accepted");
    let session = yima.session_of(&person);
    let phone = register(&yima, &session);
    let issuers = issuers(&yima);
    let before = read(&Tokens::fetch(&yima, &session, &phone).show(), &issuers);
    assert!(!Bundle::of_after(&yima, now()).denies(&before));

    assert_eq!(yima.event(&lab, &person.test("t-2", "positive", HOUR / 2)), "accepted");
    let bundle = Bundle::of_after(&yima, now());
    assert!(bundle.denies(&before));
    let after = read(&Tokens::fetch(&yima, &session, &phone).show(), &issuers);
    assert!(!bundle.denies(&after) && !Bundle::of_after(&yima, now()).denies(&after));

    yima.kill9();
    yima.start_again();
    let again = Bundle::of_after(&yima, bundle.index.released_at);
    assert!(again.denies(&before) && !again.denies(&after));
    assert_eq!(yima.http().get_with(&format!("{}/v1/offline-bundle/0", yima.read_url()), &[]).unwrap().status, 404);
    assert!(yima.metric("offline_bundle_age_seconds", &[]) < 30.0);
}

#[test]
fn an_emergency_is_in_the_next_release_and_in_the_audit_log() {
    let yima = Yima::start(Options::default().unlimited());
    Bundle::of_after(&yima, Time::EPOCH);
    let too_long = ["emergency", "start", "--for", "73h", "--expired", "1h", "--why", "w"];
    let refused = yima.options().command().args(too_long).output().expect("yima can be run");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--for: expected"));
    let started = yima.command(&["emergency", "start", "--for", "6h", "--expired", "24h", "--why", "网络中断"]);
    assert!(started[0].starts_with("started; until "), "{started:?}");
    let mut emergency = None;
    until("the emergency in a release out of turn", Duration::from_secs(10), || {
        emergency = Bundle::fetch(&yima).expect("a bundle").index.emergency;
        emergency.is_some()
    });
    let emergency = emergency.expect("just found");
    assert_eq!((emergency.expired, emergency.why.as_str()), (HOUR * 24, "网络中断"));
    assert!(yima.command(&["emergency", "status"])[0].contains("网络中断; newest offline bundle: 2"));
    assert_eq!(yima.command(&["emergency", "end"]), ["ended"]);
    until("the end in a release", Duration::from_secs(10), || {
        Bundle::fetch(&yima).expect("a bundle").index.emergency.is_none()
    });
    let audit = yima.http().get_with(&format!("{}/audit", yima.admin_url()), &[]).expect("a whole answer");
    let kinds: Vec<_> = audit.text().lines().filter(|line| line.contains("\"emergency_")).collect();
    assert!(kinds.len() == 2 && kinds[0].contains("\"expired_s\":86400") && kinds[0].contains("网络中断"), "{kinds:?}");
}
