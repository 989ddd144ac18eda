//! FHIR R4 `OperationOutcome` (section 2.31): problems in the form that FHIR clients read.

use std::borrow::Cow;

use serde::Serialize;
use yima_schema::problem::{Problem, ProblemType};

/// The outcome of a request or an entry.
#[derive(Serialize)]
#[serde(tag = "resourceType")]
pub struct OperationOutcome<'a> {
    /// The freshness token of an accepted resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<[FreshnessExtension<'a>; 1]>,
    issue: Vec<Issue<'a>>,
}

/// FHIR R4 section 2.4: an element that the resource's own definition does not have.
#[derive(Serialize)]
struct FreshnessExtension<'a> {
    url: &'static str,
    #[serde(rename = "valueString")]
    value: &'a str,
}

impl<'a> OperationOutcome<'a> {
    /// An outcome with at least one issue.
    pub fn new(issue: Vec<Issue<'a>>) -> Self {
        Self { extension: None, issue }
    }

    /// Adds a freshness token.
    pub fn with_freshness(self, token: Option<&'a str>) -> Self {
        let extension = token.map(|value| [FreshnessExtension { url: "https://yima.dev/fhir/freshness", value }]);
        Self { extension, ..self }
    }
}

/// One issue.
#[derive(Serialize)]
pub struct Issue<'a> {
    severity: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    diagnostics: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<[String; 1]>,
}

#[derive(Serialize)]
struct Details {
    coding: [Coding; 1],
    text: &'static str,
}

#[derive(Serialize)]
struct Coding {
    system: &'static str,
    code: &'static str,
}

impl<'a> Issue<'a> {
    /// A note on a success.
    pub fn information(diagnostics: impl Into<Cow<'a, str>>) -> Self {
        let diagnostics = diagnostics.into();
        Self { severity: "information", code: "informational", details: None, diagnostics, expression: None }
    }

    fn error(kind: ProblemType, diagnostics: &'a str, expression: String) -> Self {
        let coding = [Coding { system: "https://yima.dev/problems", code: kind.slug() }];
        let details = Some(Details { coding, text: kind.title() });
        let diagnostics = Cow::Borrowed(diagnostics);
        let expression = (!expression.is_empty()).then_some([expression]);
        Self { severity: "error", code: code(kind), details, diagnostics, expression }
    }
}

/// A problem as issues, one for each field error; `within`: the FHIRPath that its pointers are relative to.
pub fn issues<'a>(problem: &'a Problem, within: &str) -> Vec<Issue<'a>> {
    let issue = |diagnostics, expression| Issue::error(problem.kind, diagnostics, expression);
    if problem.errors.is_empty() {
        return vec![issue(&problem.detail, within.to_owned())];
    }
    problem.errors.iter().map(|error| issue(&error.detail, expression(within, &error.pointer))).collect()
}

/// A FHIRPath for a JSON pointer: `/patient/reference` → `Immunization.patient.reference`, `/name/0` →
/// `Patient.name[0]`.
fn expression(within: &str, pointer: &str) -> String {
    let mut path = within.to_owned();
    let start = usize::from(within.is_empty());
    for token in pointer.split('/').skip(1) {
        if token.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{token}]"));
        } else {
            path.push('.');
            path.push_str(token);
        }
    }
    path.split_off(start.min(path.len()))
}

/// The issue type (value set `issue-type`).
fn code(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::Malformed => "structure",
        ProblemType::Invalid => "value",
        ProblemType::Unauthenticated => "login",
        ProblemType::Forbidden | ProblemType::NotAGuardian => "forbidden",
        ProblemType::NotFound | ProblemType::UnknownPhone | ProblemType::TooManyPhones => "not-found",
        ProblemType::MethodNotAllowed | ProblemType::Misdirected | ProblemType::UnsupportedMediaType => "not-supported",
        ProblemType::Timeout => "timeout",
        ProblemType::Conflict => "conflict",
        ProblemType::SubjectFull | ProblemType::TooManyGuardianships | ProblemType::InvitationOver => "business-rule",
        ProblemType::TooLarge => "too-long",
        ProblemType::TooManyRequests => "throttled",
        ProblemType::Internal => "exception",
        ProblemType::BeingUpdated | ProblemType::NoRoom | ProblemType::Waiting | ProblemType::Unavailable => {
            "transient"
        }
    }
}
