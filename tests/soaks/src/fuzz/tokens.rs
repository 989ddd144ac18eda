//! Readers of codes and tokens: none accepts a text that was not issued.

use std::num::NonZeroU32;
use std::time::Duration;

use yima_schema::code::{self, Claims, Handle, IssuerKey, IssuerKeys, Snapshot};
use yima_schema::event::{Colour, TestOutcome};
use yima_schema::freshness::Freshness;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::subject::{DocumentType, SubjectId};
use yima_schema::time::{DAY, Time};
use yima_schema::view::Version;
use yima_service::jwt::{self, Issuer, JwtConfig, Verifier};
use yima_service::rate_limit::{RateConfig, RateLimiter};

use super::corpus::Corpus;
use super::readers::Outcome;

/// Life of the identity tokens of the corpus.
const FOR_GOOD: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 5_000);

/// The texts that were issued.
struct Genuine(Vec<String>);

impl Genuine {
    /// Texts of the corpus below this folder; the first time they are issued.
    fn of(corpus: &Corpus, folder: &str, issue: &[(&str, &dyn Fn() -> String)]) -> Self {
        let text = |(name, issue): &(&str, &dyn Fn() -> String)| {
            let kept = corpus.once(&format!("{folder}/{name}"), || issue().into_bytes());
            String::from_utf8(kept).expect("a text was issued")
        };
        Self(issue.iter().map(text).collect())
    }

    /// The outcome of a text that was opened or not.
    fn judge(&self, text: &str, opened: bool) -> Result<Outcome, String> {
        match (opened, self.0.iter().any(|genuine| genuine == text)) {
            (true, true) => Ok(Outcome::Accepted),
            (true, false) => Err("a text that was not issued is accepted".into()),
            (false, true) => Err("a text that was issued is refused".into()),
            (false, false) => Ok(Outcome::Refused),
        }
    }
}

fn issued_at() -> Time {
    Time::from_secs(1_795_910_400)
}

fn subject() -> SubjectId {
    SubjectId::from_bytes([9; 16])
}

/// Codes (`YM1:…`), with their handles.
pub(super) fn codes(corpus: &Corpus) -> impl Fn(&str) -> Result<Outcome, String> + use<> {
    let key = corpus.once("keys/code", IssuerKey::generate);
    let key = IssuerKey::from_pkcs8(&key).expect("the corpus has a key");
    let seals = SealKeys::new(&[[1; 32]], "handle");
    let handle = Handle { subject: subject(), region: "xian".into(), version: Version(7), sealed_at: issued_at() };
    let least = Snapshot {
        as_of: issued_at(),
        colour: Colour::Green,
        next: None,
        test: None,
        vaccination: (0, false),
        name: None,
    };
    let most = Snapshot {
        next: Some((issued_at().plus(DAY), Colour::Red)),
        test: Some((TestOutcome::Negative, 3)),
        vaccination: (2, true),
        name: Some("张*".into()),
        ..least.clone()
    };
    let issue = |snapshot: &Snapshot| {
        let claims = Claims {
            issuer: "xian".into(),
            issued_at: issued_at(),
            expires_at: issued_at().plus(Duration::from_secs(60)),
            handle: handle.seal(&seals),
            snapshot: snapshot.clone(),
        };
        code::sign(&claims, &key).expect("a key of this process signs")
    };
    let genuine = Genuine::of(corpus, "code", &[("least", &|| issue(&least)), ("most", &|| issue(&most))]);
    let keys = IssuerKeys::new(vec![key.verifying_key()]);
    move |text| {
        let opened = code::open(text, &keys);
        let handle = opened.as_ref().ok().map(|claims| Handle::open(&claims.handle, &seals));
        if handle.is_some_and(|handle| handle.is_err()) {
            return Err("an accepted code whose handle does not open".into());
        }
        // A scanner may add white space.
        genuine.judge(text.trim(), opened.is_ok())
    }
}

/// Identity tokens (JWT).
pub(super) fn identity_tokens(corpus: &Corpus) -> impl Fn(&str) -> Result<Outcome, String> + use<> {
    let key = corpus.once("keys/jwt", || Issuer::generate().expect("the system has randomness").0);
    let issuer = Issuer::from_pkcs8(&key, "idp").expect("the corpus has a key");
    let config = JwtConfig {
        issuer: "idp".into(),
        max_life: FOR_GOOD * 2,
        failures_per_s: NonZeroU32::MAX,
        ..JwtConfig::default()
    };
    let citizen = jwt::Claims {
        scope: "display".into(),
        document_type: Some(DocumentType::Passport),
        document_number: Some("E12345678".into()),
        ..jwt::Claims::default()
    };
    let checkpoint = jwt::Claims {
        scope: "scan scan:document".into(),
        checkpoint: Some("gate-1".into()),
        require_test_within_h: Some(48),
        ..jwt::Claims::default()
    };
    let agency = jwt::Claims { scope: "events:write".into(), agency: Some("lab-7".into()), ..jwt::Claims::default() };
    let issue = |claims: &jwt::Claims| issuer.issue(claims, FOR_GOOD);
    let genuine = Genuine::of(
        corpus,
        "jwt",
        &[("citizen", &|| issue(&citizen)), ("checkpoint", &|| issue(&checkpoint)), ("agency", &|| issue(&agency))],
    );
    let jwks = serde_json::to_string(&issuer.jwks()).expect("a JWKS document is JSON");
    let verifier = Verifier::from_jwks(&jwks, &config).expect("a JWKS document with a key");
    let checks = RateLimiter::new("sign-in", &RateConfig::new(u32::MAX, Duration::from_secs(1)));
    move |text| genuine.judge(text, verifier.verify(text, &checks).is_ok())
}

/// Sessions.
pub(super) fn sessions(corpus: &Corpus) -> impl Fn(&str) -> Result<Outcome, String> + use<> {
    let keys = SealKeys::new(&[[3; 32], [4; 32]], "session");
    let session = |holder| Session { id: 9, started_at: issued_at(), expires_at: issued_at().plus(DAY), holder };
    let checkpoint =
        Holder::Checkpoint { checkpoint: "gate-1".into(), require_test_within_h: Some(48), looks_up_documents: true };
    let citizen = Holder::Citizen { subject: subject() };
    let issue = |holder: &Holder| session(holder.clone()).seal(&keys);
    let genuine =
        Genuine::of(corpus, "session", &[("citizen", &|| issue(&citizen)), ("checkpoint", &|| issue(&checkpoint))]);
    move |text| genuine.judge(text, Session::open(text, &keys).is_ok())
}

/// Freshness tokens.
pub(super) fn freshness(corpus: &Corpus) -> impl Fn(&str) -> Result<Outcome, String> + use<> {
    let keys = SealKeys::new(&[[5; 32]], "freshness");
    let content =
        Freshness { region: "xian".into(), subject: subject(), version: Version(1 << 48), moment: issued_at() };
    let genuine = Genuine::of(corpus, "freshness", &[("token", &|| content.seal(&keys))]);
    move |text| genuine.judge(text, Freshness::open(text.as_bytes(), &keys).is_some())
}
