//! A scan of another system's code: its verdict, and the statements that it proves. Such a code has no colour. Nothing
//! of it is stored or logged.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use yima_foreign::certificate::{Certificate, Product, Proof, Vaccination};
use yima_foreign::{Acceptance, AcceptanceRules, Refusal, Revocations, Scheme, TrustList};
use yima_schema::event::{TestKind, TestOutcome};
use yima_schema::time::Time;

use super::checkpoint::ScanBody;
use crate::app::App;
use crate::body::IdentityBody;
use crate::verdict::Reason;

/// What another system's code proves; what it does not state is null.
#[derive(Serialize, ToSchema)]
pub(super) struct ForeignBody {
    scheme: Scheme,
    /// Country of the issuer by the trust list (ISO 3166-1 alpha-2).
    country: String,
    /// Name of the issuer by the trust list.
    issuer: Option<String>,
    /// Date of birth: `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
    born: Option<String>,
    vaccination: Option<ForeignVaccination>,
    /// Newest first.
    tests: Vec<ForeignTest>,
    recovery: Option<ForeignRecovery>,
    /// Version of the acceptance rules that the verdict is by.
    acceptance_version: u32,
}

/// Doses, up to the last one.
#[derive(Serialize, ToSchema)]
struct ForeignVaccination {
    doses: usize,
    /// Doses of the course, if the code states them.
    of: Option<u8>,
    /// Name of the last vaccine, or its code if the acceptance rules do not list it.
    vaccine: String,
    /// Date of the last dose.
    last_on: String,
}

/// One test; null for a type or result that the acceptance rules do not list.
#[derive(Serialize, ToSchema)]
struct ForeignTest {
    test: Option<TestKind>,
    result: Option<TestOutcome>,
    sampled_at: Time,
}

/// A past infection, with dates.
#[derive(Serialize, ToSchema)]
struct ForeignRecovery {
    first_positive_on: String,
    valid_from: String,
    valid_until: String,
}

/// The answer to a code of another system; `None` for any other text. A checkpoint that requires a test within some
/// time requires it of these too.
pub(super) fn scan(
    app: &App,
    code: &str,
    require_test_within: Option<Duration>,
    now: Time,
) -> Option<ScanBody<'static>> {
    let scheme = Scheme::of(code.trim())?;
    let files = &app.foreign;
    let (trust_list, rules, revoked) =
        (files.trust_list.content(), files.acceptance.content(), files.revocations.content());
    let (body, outcome) = answer(code, &trust_list, &revoked, &rules, require_test_within, now);
    metrics::counter!("scan_foreign_total", "scheme" => scheme.as_str(), "outcome" => outcome).increment(1);
    Some(body)
}

/// The answer, and its outcome as it is counted. The checkpoint's page gives the same without a network.
pub(super) fn answer(
    code: &str,
    trust_list: &TrustList,
    revoked: &Revocations,
    rules: &AcceptanceRules,
    require_test_within: Option<Duration>,
    now: Time,
) -> (ScanBody<'static>, &'static str) {
    let certificate = match yima_foreign::read(code, trust_list, revoked, now) {
        Ok(certificate) => certificate,
        Err(refusal) => {
            let outcome = if refusal == Refusal::IssuerUnknown { "issuer_unknown" } else { "refused" };
            return (ScanBody::refused(reason_of(refusal)), outcome);
        }
    };
    let reason = judge(rules, &certificate, require_test_within, now);
    let foreign = ForeignBody::new(&certificate, rules);
    let body = ScanBody::foreign(reason, IdentityBody::of_name(certificate.name), foreign);
    (body, if reason == Reason::ForeignAccepted { "accepted" } else { "not_accepted" })
}

fn reason_of(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::Malformed => Reason::Malformed,
        Refusal::Unsupported => Reason::ForeignUnsupported,
        Refusal::InParts => Reason::ForeignInParts,
        Refusal::IssuerUnknown => Reason::ForeignIssuerUnknown,
        Refusal::Forged => Reason::Forged,
        Refusal::KeyUsage => Reason::ForeignKeyUsage,
        Refusal::Revoked => Reason::ForeignRevoked,
        Refusal::Expired => Reason::ForeignExpired,
        Refusal::NotYetValid => Reason::ForeignNotYetValid,
    }
}

fn judge(rules: &AcceptanceRules, certificate: &Certificate, within: Option<Duration>, now: Time) -> Reason {
    match rules.judge(certificate, now) {
        Acceptance::Accepted => match within.map_or(Ok(()), |within| rules.proves_test(certificate, within, now)) {
            Ok(()) => Reason::ForeignAccepted,
            Err(true) => Reason::TestTooOld,
            Err(false) => Reason::TestRequired,
        },
        Acceptance::Positive => Reason::ForeignPositive,
        Acceptance::Incomplete => Reason::ForeignIncomplete,
        Acceptance::TooRecent => Reason::ForeignTooRecent,
        Acceptance::TooOld => Reason::ForeignTooOld,
        Acceptance::NotListed => Reason::ForeignNotListed,
    }
}

impl ForeignBody {
    fn new(certificate: &Certificate, rules: &AcceptanceRules) -> Self {
        let (mut vaccination, mut tests, mut recovery) = (None, Vec::new(), None);
        for proof in &certificate.proofs {
            match proof {
                Proof::Vaccination(doses) => vaccination = ForeignVaccination::new(doses, rules),
                Proof::Test(test) => tests.push(ForeignTest {
                    test: rules.test_kind(&test.test),
                    result: rules.outcome(&test.result),
                    sampled_at: test.sampled_at,
                }),
                Proof::Recovery(infection) => {
                    recovery = Some(ForeignRecovery {
                        first_positive_on: infection.first_positive_on.to_string(),
                        valid_from: infection.valid_from.to_string(),
                        valid_until: infection.valid_until.to_string(),
                    });
                }
            }
        }
        tests.sort_by_key(|test| std::cmp::Reverse(test.sampled_at));
        Self {
            scheme: certificate.scheme,
            country: certificate.issuer.country.clone(),
            issuer: certificate.issuer.name.clone(),
            born: certificate.born.clone(),
            vaccination,
            tests,
            recovery,
            acceptance_version: rules.version,
        }
    }
}

impl ForeignVaccination {
    /// `None` without a dose against the disease: a card may hold other vaccinations.
    fn new(vaccination: &Vaccination, rules: &AcceptanceRules) -> Option<Self> {
        let listed = rules.listed(vaccination);
        // A code that counts its doses has this vaccination alone, listed or not.
        let alone = vaccination.number.and(vaccination.doses.first());
        let last = listed.iter().copied().max_by_key(|dose| dose.given_on).or(alone)?;
        let code = match &last.product {
            Product::Eu(code) | Product::Cvx(code) => code,
        };
        Some(Self {
            doses: vaccination.number.map_or(listed.len(), usize::from),
            of: vaccination.series,
            vaccine: rules.vaccine(&last.product).map_or(code, |vaccine| &vaccine.name).clone(),
            last_on: last.given_on.to_string(),
        })
    }
}
