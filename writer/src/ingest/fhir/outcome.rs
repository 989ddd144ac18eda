//! FHIR R4 `OperationOutcome` (section 2.31): problems in the words that a FHIR client reads.

use serde_json::{Value, json};
use yima_schema::problem::{Problem, ProblemType};

/// An `OperationOutcome` of these issues.
pub fn operation_outcome(issues: Vec<Value>) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": issues})
}

/// What went well, in words.
pub fn information(diagnostics: &str) -> Value {
    json!({"severity": "information", "code": "informational", "diagnostics": diagnostics})
}

/// A problem as issues, one for each field at fault; `within` is the FHIRPath of the resource that its pointers are in.
pub fn issues(problem: &Problem, within: &str) -> Vec<Value> {
    let issue = |diagnostics: &str, expression: Option<String>| {
        let mut issue = json!({
            "severity": "error",
            "code": code(problem.kind),
            "details": {
                "coding": [{"system": "https://yima.dev/problems", "code": problem.kind.slug()}],
                "text": problem.kind.title(),
            },
            "diagnostics": diagnostics,
        });
        if let Some(expression) = expression.filter(|expression| !expression.is_empty()) {
            issue["expression"] = json!([expression]);
        }
        issue
    };
    if problem.errors.is_empty() {
        return vec![issue(&problem.detail, Some(within.to_owned()))];
    }
    problem.errors.iter().map(|error| issue(&error.detail, Some(expression(within, &error.pointer)))).collect()
}

/// A FHIRPath for a JSON pointer: `/patient/reference` → `Immunization.patient.reference`, `/name/0` → `Patient.name[0]`.
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
        ProblemType::Forbidden => "forbidden",
        ProblemType::NotFound => "not-found",
        ProblemType::MethodNotAllowed | ProblemType::UnsupportedMediaType => "not-supported",
        ProblemType::Timeout => "timeout",
        ProblemType::Conflict => "conflict",
        ProblemType::SubjectFull => "business-rule",
        ProblemType::TooLarge => "too-long",
        ProblemType::TooManyRequests => "throttled",
        ProblemType::Internal => "exception",
        ProblemType::BeingUpdated | ProblemType::NoRoom | ProblemType::Unavailable => "transient",
    }
}
