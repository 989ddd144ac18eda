//! A checkpoint and its scans, in three steps that `/v1/scan` and `/v1/scans` share: resolve a code or document to a
//! subject, look its view up, judge the view.

use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;
use yima_foreign::Scheme;
use yima_schema::code::{self, CodeError, Opened, OpeningKeys, ShownBy};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::session::{Holder, ScanRole};
use yima_schema::subject::{Document, SubjectId};
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_service::http::ProblemResponse;
use yima_service::jwt::{Scope, insufficient_scope};
use yima_service::levels::Level;
use yima_service::rate_limit::Remaining;

use super::foreign::{self, ForeignBody};
use crate::app::App;
use crate::body::{ColourBody, IdentityBody, Parts, TestBody, VaccinationBody};
use crate::cache::Answer;
use crate::document_lookups::Outcome;
use crate::verdict::{BY_GUARDIAN, Proof, Reason, Verdict, hours, judge};

/// `Retry-After` of a look-up by document that a busy node refuses.
const BUSY_RETRY_AFTER_S: u32 = 30;

/// The session of a checkpoint.
pub(super) struct Checkpoint {
    /// The key of its rate limits.
    pub name: String,
    require_test_within_h: Option<u16>,
    may_scan_documents: bool,
    role: ScanRole,
    /// Who of its staff, for the audit log.
    operator: Option<String>,
}

/// A resolved code or document.
pub(super) struct Target {
    pub subject: SubjectId,
    /// The lowest version that may be judged.
    pub floor: Version,
    /// Nothing if an identity document was looked up.
    shown_by: ShownBy,
    /// Whether a guardian shows the code.
    by_guardian: bool,
    /// The reason for the verdict on a subject without a view.
    without_view: Reason,
}

/// The verdict; fields that are not known are null.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanBody<'a> {
    verdict: Verdict,
    reason: Reason,
    instruction: &'static str,
    /// A guardian shows the code of another person; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    guardian: bool,
    identity: Option<IdentityBody<'a>>,
    colour: Option<ColourBody<'a>>,
    /// Null if the node is too busy for them. The verdict counts them all the same.
    tests: Option<Vec<TestBody<'a>>>,
    vaccination: Option<VaccinationBody>,
    as_of: Option<Time>,
    /// Regions that have not been heard for longer than `max_region_lag_s`: their newest events may be missing. Absent
    /// if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_regions: Vec<String>,
    /// Of a code of another system: what it proves. Absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign: Option<Box<ForeignBody>>,
}

impl Target {
    /// Resolves a code that is genuine and current.
    ///
    /// # Errors
    /// The reason for a verdict without a lookup: an old or forged code resolves to no subject.
    fn of_code(app: &App, code: &str, now: Time) -> Result<Self, Reason> {
        let keyring = app.keyring.load();
        let keys = OpeningKeys { handles: keyring.handles(), tokens: &app.tokens, issuers: keyring.issuers() };
        let opened = code::open(code, keys, now, app.code_lifetime);
        let Opened { issuer, handle, shown_by, by_guardian } = opened.map_err(|error| match error {
            CodeError::Malformed => Reason::Malformed,
            CodeError::UnknownIssuer => Reason::UnknownIssuer,
            CodeError::Forged => Reason::Forged,
            CodeError::Revoked => Reason::RevokedKey,
            CodeError::WrongPhone => Reason::WrongPhone,
            CodeError::NotYetValid => Reason::NotYetValid,
            CodeError::Expired => Reason::Expired,
            CodeError::StaleProof => Reason::StaleProof,
        })?;
        // The version that the phone was shown. A version of another region's view cannot be compared with ours.
        let floor = if issuer == app.region { handle.version } else { Version::ABSENT };
        app.copies.note(shown_by, now);
        Ok(Self { subject: handle.subject, floor, shown_by, by_guardian, without_view: Reason::Nobody })
    }

    /// Resolves an identity document. No phone has shown a version, so there is no floor.
    fn of_document(app: &App, document: &Document) -> Self {
        let subject = app.pseudonyms.subject(document);
        Self {
            subject,
            floor: Version::ABSENT,
            shown_by: ShownBy::Nothing,
            by_guardian: false,
            without_view: Reason::NotRegistered,
        }
    }
}

/// Why what shows a code is not good any more, by the view.
fn ended(shown_by: ShownBy, view: &View, now: Time) -> Option<Reason> {
    match shown_by {
        ShownBy::Nothing => None,
        ShownBy::Phone { phone, .. } => view.phone(phone, now).is_none().then_some(Reason::PhoneEnded),
        ShownBy::Paper { number, issued_at } => {
            view.ended_sessions.contains_id(number, issued_at).then_some(Reason::PaperEnded)
        }
    }
}

impl Checkpoint {
    /// The session in `Authorization`, if it is a checkpoint's.
    ///
    /// # Errors
    /// 401, 403.
    pub fn of(app: &App, headers: &HeaderMap, now: Time) -> Result<Self, ProblemResponse> {
        match app.session(headers, now)?.holder {
            Holder::Checkpoint { checkpoint: name, require_test_within_h, looks_up_documents, role, operator } => {
                Ok(Self { name, require_test_within_h, may_scan_documents: looks_up_documents, role, operator })
            }
            Holder::Citizen { .. } => Err(insufficient_scope(Scope::Scan, "Only a checkpoint's session can scan")),
        }
    }

    /// Takes what codes of other systems cost beyond a scan: each has a text to unpack and a signature to check.
    ///
    /// # Errors
    /// 429.
    pub fn pay_for_foreign<'c>(&self, app: &App, codes: impl Iterator<Item = &'c str>) -> Result<(), ProblemResponse> {
        let foreign = codes.filter(|code| Scheme::of(code.trim()).is_some()).count();
        if foreign > 0 {
            let limit = &app.limits.foreign;
            limit.take(limit.key(&self.name), u32::try_from(foreign).unwrap_or(u32::MAX))?;
        }
        Ok(())
    }

    /// Resolves a code.
    ///
    /// # Errors
    /// The answer to a code that leads to no lookup: one that is not genuine and current, or of another system.
    pub fn resolve_code(&self, app: &App, code: &str, now: Time) -> Result<Target, Box<ScanBody<'static>>> {
        if let Some(judged) = foreign::scan(app, code, self.require_test_within_h.map(hours), now) {
            return Err(Box::new(judged.for_role(self.role)));
        }
        Target::of_code(app, code, now).map_err(|reason| Box::new(ScanBody::refused(reason)))
    }

    /// Resolves an identity document if the checkpoint has the scope for it and is within its limit; counts each
    /// attempt. Also returns what is left of the limit.
    ///
    /// # Errors
    /// 403, 429, 503 from level 3 on.
    pub fn resolve_document(&self, app: &App, document: &Document) -> Result<(Target, Remaining), ProblemResponse> {
        let count = |outcome| app.document_lookups.count(&self.name, self.operator.as_deref(), outcome);
        if !self.may_scan_documents {
            count(Outcome::Forbidden);
            let detail = "Looking people up by their document needs the scope `scan:document`";
            return Err(insufficient_scope(Scope::ScanDocument, detail));
        }
        if app.levels.in_force().leaves_out(Level::Documents) {
            let detail = "The service is too busy for look-ups by document; scan the code, or try again later";
            return Err(Problem::new(ProblemType::Unavailable, detail).retry_after(BUSY_RETRY_AFTER_S).into());
        }
        let limit = &app.limits.document;
        let remaining = limit.take(limit.key(&self.name), 1).inspect_err(|_| count(Outcome::Refused))?;
        count(Outcome::Asked);
        Ok((Target::of_document(app, document), remaining))
    }

    /// The verdict on the view of a target, by this checkpoint's policy.
    pub fn judge<'a>(&self, app: &App, target: &Target, answer: &Answer, view: &'a View, now: Time) -> ScanBody<'a> {
        let at = view.colour_at(now);
        let as_of = Some(answer.as_of);
        let silent_regions = app.views.silent_regions(now);
        let guardian = target.by_guardian;
        if let Some(ended) = ended(target.shown_by, view, now) {
            return ScanBody { guardian, as_of, silent_regions, ..ScanBody::refused(ended) };
        }
        let proof = Proof { fresh: answer.fresh, region_silent: !silent_regions.is_empty() };
        let mut reason = judge(view, &at, proof, self.require_test_within_h.map(hours), now);
        if reason == Reason::Green && matches!(target.shown_by, ShownBy::Paper { .. }) {
            reason = Reason::PaperGreen;
        }
        if reason == Reason::Nobody && target.without_view == Reason::NotRegistered {
            // Without a view there is nothing to compare the document with.
            return ScanBody { as_of, silent_regions, ..ScanBody::refused(Reason::NotRegistered) };
        }
        let Parts { identity, colour, tests, vaccination } = Parts::new(view, &at, app.levels.in_force().into());
        let (identity, colour) = (Some(identity), Some(colour));
        let body = ScanBody {
            guardian,
            identity,
            colour,
            tests,
            vaccination,
            as_of,
            silent_regions,
            ..ScanBody::refused(reason)
        };
        body.with_guardians_instruction().for_role(self.role)
    }
}

impl ScanBody<'_> {
    /// A verdict that says nothing of any subject.
    pub fn refused(reason: Reason) -> Self {
        Self {
            verdict: reason.verdict(),
            reason,
            instruction: reason.instruction(),
            guardian: false,
            identity: None,
            colour: None,
            tests: Some(Vec::new()),
            vaccination: None,
            as_of: None,
            silent_regions: Vec::new(),
            foreign: None,
        }
    }

    /// Tells who would let somebody through whose document to compare.
    fn with_guardians_instruction(self) -> Self {
        let instruction = if self.guardian && self.verdict == Verdict::Pass { BY_GUARDIAN } else { self.instruction };
        Self { instruction, ..self }
    }

    /// What a checkpoint of this role is shown of it. A machine lets nobody through whose document has to be compared.
    fn for_role(self, role: ScanRole) -> Self {
        match role {
            ScanRole::Hospital => self,
            ScanRole::Guard => {
                let tests = self.tests.map(|tests| tests.into_iter().map(TestBody::without_time).collect());
                Self { tests, ..self }
            }
            ScanRole::Turnstile => {
                let Self { as_of, silent_regions, reason, guardian, .. } = self;
                let body = ScanBody { guardian, as_of, silent_regions, ..ScanBody::refused(reason) };
                let is_to_compare = guardian || reason.asks_for_the_document();
                if is_to_compare && body.verdict == Verdict::Pass {
                    ScanBody { verdict: Verdict::Check, ..body }
                } else {
                    body
                }
            }
        }
    }

    /// A verdict on a code of another system, with the person and the statements that it names.
    pub fn foreign(reason: Reason, identity: IdentityBody<'static>, foreign: ForeignBody) -> Self {
        Self { identity: Some(identity), foreign: Some(Box::new(foreign)), ..Self::refused(reason) }
    }
}
