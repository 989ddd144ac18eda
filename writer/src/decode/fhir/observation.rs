//! FHIR R4 `Observation`: the result of a laboratory test, or a panel of several. A LOINC code names the test, a SNOMED
//! CT code the result. A positive result that is not understood is never ignored.

use serde_json::Value;
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::super::codes::{Codes, LOINC, SNOMED_CT};
use super::reading::{Coded, Reading, coded, is_positive, loinc_code, result};
use super::{Context, DATE_TIME, Fact, NotUnderstood, Person, References, RowError, Statement, invalid, text, time_at};

const CODE: &str = "/code/coding";
const RESULT: &str = "/valueCodeableConcept/coding";

/// Decodes an Observation.
pub(super) fn decode(resource: &Value, references: &References, context: Context<'_>) -> Result<Statement, RowError> {
    let person = || Person::referred(resource, "/subject", references);
    let void = |why| Ok(Statement::void(why, person()?, resource, time_pointer(resource), context));
    let not_understood = |pointer, expected: String| {
        let fact = NotUnderstood { pointer, expected, code: loinc_code(resource).map(str::to_owned) };
        Ok(Statement { person: person()?, occurred_at: context.now, pointer: "", fact: Fact::NotUnderstood(fact) })
    };
    let status = text(resource, "/status");
    // Before the code is looked up: the code may have been the error.
    if status == Some("entered-in-error") {
        return void("entered in error");
    }
    let panel = Panel::of(resource, context.codes)?;
    if panel.counted.is_empty() {
        if !panel.states_unknown_positive || matches!(status, Some("registered" | "preliminary" | "cancelled")) {
            return Err(not_counted(resource, status));
        }
        let expected = "expected the code of a test that counts here: this result is or may be positive";
        return not_understood(CODE, expected.into());
    }
    match status {
        Some("final" | "amended" | "corrected") => {}
        Some("registered" | "preliminary") => return Err(RowError::Ignored("the result is not final yet".into())),
        Some("cancelled") => return void("cancelled"),
        Some(_) | None => {
            let expected = "expected final, amended, corrected, registered, preliminary, cancelled or entered-in-error";
            return Err(invalid("/status", expected));
        }
    }
    let (test, result) = match panel.result(context.codes)? {
        PanelResult::Known(test, result) => (test, result),
        PanelResult::Absent => return void("no result"),
        PanelResult::MaybePositive => return not_understood(RESULT, expected_result(context.codes)),
        PanelResult::NotUnderstood => return Err(invalid(RESULT, expected_result(context.codes))),
    };
    let pointer = time_pointer(resource);
    let occurred_at = time_at(resource, pointer, context).ok_or_else(|| invalid(pointer, DATE_TIME))?;
    let data = EventData::TestResult { test, result };
    Ok(Statement { person: person()?, occurred_at, pointer, fact: Fact::Data(data) })
}

/// An Observation and its components, of which each may have a test's code and a result.
struct Panel<'a> {
    /// The Observation, then the components, whose codes count: each with its pointer.
    counted: Vec<(TestKind, &'a Value, String)>,
    /// Whether a part with an unknown code states a positive result.
    states_unknown_positive: bool,
}

enum PanelResult {
    Known(TestKind, TestOutcome),
    /// Each part says that it has none.
    Absent,
    /// Not understood, and not stated to be negative.
    MaybePositive,
    /// Missing, or in words that say that it is negative.
    NotUnderstood,
}

impl<'a> Panel<'a> {
    fn of(resource: &'a Value, codes: &Codes) -> Result<Self, RowError> {
        let mut panel = Self { counted: Vec::new(), states_unknown_positive: false };
        let components = resource.get("component").and_then(Value::as_array).into_iter().flatten().enumerate();
        let components = components.map(|(n, component)| (component, format!("/component/{n}")));
        let mut is_another_test = false;
        for (node, at) in std::iter::once((resource, String::new())).chain(components) {
            match coded(node, &at, codes)? {
                Coded::Test(kind) => panel.counted.push((kind, node, at)),
                Coded::NotCounted => is_another_test |= at.is_empty(),
                Coded::Unknown if is_another_test => {}
                Coded::Unknown => panel.states_unknown_positive |= is_positive(node, codes) == Some(true),
            }
        }
        Ok(panel)
    }

    /// The most restrictive result: a panel is positive if one of its tests is.
    fn result(&self, codes: &Codes) -> Result<PanelResult, RowError> {
        let mut kind: Option<TestKind> = None;
        let (mut worst, mut own): (Option<TestOutcome>, Option<TestOutcome>) = (None, None);
        let (mut is_absent, mut maybe_positive) = (false, self.states_unknown_positive);
        for (test, node, at) in &self.counted {
            if kind.is_some_and(|kind| kind != *test) {
                return Err(invalid(&format!("{at}/code/coding"), "expected tests of one kind in one Observation"));
            }
            kind = Some(*test);
            match result(node, at, codes)? {
                Reading::Outcome(outcome) => {
                    if own == Some(TestOutcome::Negative) && outcome == TestOutcome::Positive {
                        let expected = "expected no positive component of a negative result";
                        return Err(invalid(&format!("{at}{RESULT}"), expected));
                    }
                    if at.is_empty() {
                        own = Some(outcome);
                    }
                    worst = worst.max(Some(outcome));
                }
                Reading::Absent => is_absent = true,
                Reading::Missing => {}
                Reading::NotUnderstood => maybe_positive |= is_positive(node, codes) != Some(false),
            }
        }
        Ok(match (kind.zip(worst), maybe_positive) {
            (Some((kind, TestOutcome::Positive)), _) => PanelResult::Known(kind, TestOutcome::Positive),
            (_, true) => PanelResult::MaybePositive,
            (Some((kind, outcome)), false) => PanelResult::Known(kind, outcome),
            (None, false) if is_absent => PanelResult::Absent,
            (None, false) => PanelResult::NotUnderstood,
        })
    }
}

/// The error of an Observation that is no test here. Unless it is final, it says nothing about an earlier version.
fn not_counted(resource: &Value, status: Option<&str>) -> RowError {
    let codings = resource.pointer(CODE).and_then(Value::as_array).into_iter().flatten();
    if codings.filter(|coding| text(coding, "/code").is_some()).all(|coding| text(coding, "/system") != Some(LOINC)) {
        return invalid(CODE, format!("expected a coding of system {LOINC}"));
    }
    let reason = "not a test for SARS-CoV-2 that counts here (by its LOINC code)";
    match status {
        Some("final" | "amended" | "corrected" | "cancelled") => RowError::not_counted(reason),
        Some(_) | None => RowError::Ignored(reason.into()),
    }
}

fn expected_result(codes: &Codes) -> String {
    format!("expected a coding of system {SNOMED_CT} with one of the codes {}", codes.snomed_results())
}

/// Pointer to the time at which the sample was taken. Of a period the start: a test must not look fresher than it is.
fn time_pointer(resource: &Value) -> &'static str {
    let pointers = ["/effectiveDateTime", "/effectiveInstant", "/effectivePeriod/start"];
    pointers.into_iter().find(|p| resource.pointer(p).is_some()).unwrap_or(pointers[0])
}
