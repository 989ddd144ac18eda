//! Readers of tokens: none accepts a text that was not issued.

use std::num::NonZeroU32;
use std::time::Duration;

use yima_schema::freshness::Freshness;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, ScanRole, Session};
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
pub(super) struct Genuine(Vec<String>);

impl Genuine {
    /// Texts of the corpus below this folder; the first time they are issued.
    pub(super) fn of(corpus: &Corpus, folder: &str, issue: &[(&str, &dyn Fn() -> String)]) -> Self {
        let text = |(name, issue): &(&str, &dyn Fn() -> String)| {
            let kept = corpus.once(&format!("{folder}/{name}"), || issue().into_bytes());
            String::from_utf8(kept).expect("a text was issued")
        };
        Self(issue.iter().map(text).collect())
    }

    /// Whether a text is as one of these was issued, but for so many characters at its end.
    pub(super) fn begins_with(&self, text: &str, end: usize) -> bool {
        let begin = |text: &str| text.get(..text.len().saturating_sub(end)).map(str::to_owned);
        self.0.iter().any(|genuine| genuine.len() == text.len() && begin(genuine) == begin(text))
    }

    /// The outcome of a text that was opened or not.
    pub(super) fn judge(&self, text: &str, opened: bool) -> Result<Outcome, String> {
        match (opened, self.0.iter().any(|genuine| genuine == text)) {
            (true, true) => Ok(Outcome::Accepted),
            (true, false) => Err("a text that was not issued is accepted".into()),
            (false, true) => Err("a text that was issued is refused".into()),
            (false, false) => Ok(Outcome::Refused),
        }
    }
}

pub(super) fn issued_at() -> Time {
    Time::from_secs(1_795_910_400)
}

fn subject() -> SubjectId {
    SubjectId::from_bytes([9; 16])
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
    let checkpoint = Holder::Checkpoint {
        checkpoint: "gate-1".into(),
        require_test_within_h: Some(48),
        looks_up_documents: true,
        role: ScanRole::Guard,
        operator: None,
    };
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
