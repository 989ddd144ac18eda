//! FHIR R4 `Observation`: the result of a laboratory test. A LOINC code names the test, a SNOMED CT code the result.

use serde_json::Value;
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::terminology::{LOINC, RESULTS, SNOMED_CT, TESTS};
use super::{Context, DATE_TIME, Fact, Person, References, RowError, Statement, codes, invalid, text, time_at};

const CODE: &str = "/code/coding";
const RESULT: &str = "/valueCodeableConcept/coding";

/// Decodes an Observation.
pub(super) fn decode(resource: &Value, references: &References, context: Context<'_>) -> Result<Statement, RowError> {
    let person = || Person::referred(resource, "/subject", references);
    let void = |why| Ok(Statement::void(why, person()?, resource, time_pointer(resource), context));
    let status = text(resource, "/status");
    // Before the code is looked up: the code may have been the error.
    if status == Some("entered-in-error") {
        return void("entered in error");
    }
    let test = test(resource)?;
    match status {
        Some("final" | "amended" | "corrected") => {}
        Some("registered" | "preliminary") => return Err(RowError::Ignored("the result is not final yet".into())),
        Some("cancelled") => return void("cancelled"),
        Some(_) | None => {
            let expected = "expected final, amended, corrected, registered, preliminary, cancelled or entered-in-error";
            return Err(invalid("/status", expected));
        }
    }
    let Some(result) = result(resource)? else { return void("no result") };
    let pointer = time_pointer(resource);
    let occurred_at = time_at(resource, pointer, context).ok_or_else(|| invalid(pointer, DATE_TIME))?;
    let data = EventData::TestResult { test, result };
    Ok(Statement { person: person()?, occurred_at, pointer, fact: Fact::Data(data) })
}

/// The kind of test. A test for anything else is ignored.
fn test(resource: &Value) -> Result<TestKind, RowError> {
    let mut codes = codes(resource, CODE, LOINC).peekable();
    if codes.peek().is_none() {
        return Err(invalid(CODE, format!("expected a coding of system {LOINC}")));
    }
    let kind = agreed(codes.filter_map(|code| TESTS.get(code)), CODE)?;
    kind.ok_or_else(|| RowError::Ignored("not a test for SARS-CoV-2 that counts here (by its LOINC code)".into()))
}

/// The result; `None` if the resource says that there is none.
fn result(resource: &Value) -> Result<Option<TestOutcome>, RowError> {
    let results = codes(resource, RESULT, SNOMED_CT).filter_map(|code| RESULTS.get(code));
    let result = agreed(results, RESULT)?;
    let has_a_value = resource.as_object().into_iter().flatten().any(|(key, _)| key.starts_with("value"));
    match (has_a_value, resource.get("dataAbsentReason").is_some()) {
        (true, true) => return Err(invalid("/dataAbsentReason", "expected none beside a value (obs-6)")),
        (false, true) => return Ok(None),
        (_, false) if result.is_some() => return Ok(result),
        (_, false) => {}
    }
    let names: Vec<_> = RESULTS.keys().map(String::as_str).collect();
    Err(invalid(RESULT, format!("expected a coding of system {SNOMED_CT} with one of the codes {}", names.join(", "))))
}

/// Pointer to the time at which the sample was taken. Of a period the start: a test must not look fresher than it is.
fn time_pointer(resource: &Value) -> &'static str {
    let pointers = ["/effectiveDateTime", "/effectiveInstant", "/effectivePeriod/start"];
    pointers.into_iter().find(|p| resource.pointer(p).is_some()).unwrap_or(pointers[0])
}

/// The meaning of several codings, which have to agree; `None` without codings.
fn agreed<'a, T: Copy + PartialEq + 'a>(
    mut meanings: impl Iterator<Item = &'a T>,
    pointer: &str,
) -> Result<Option<T>, RowError> {
    let Some(first) = meanings.next() else { return Ok(None) };
    if meanings.all(|other| other == first) {
        Ok(Some(*first))
    } else {
        Err(invalid(pointer, "expected codings that say the same"))
    }
}
