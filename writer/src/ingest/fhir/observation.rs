//! FHIR R4 `Observation`: the result of a laboratory test, what was tested by LOINC, what was found by SNOMED CT.

use serde_json::Value;
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::terminology::{LOINC, RESULTS, SNOMED_CT, TESTS};
use super::{Context, DATE_TIME, Fact, Person, References, RowError, codes, fault, text, time_at};

const CODE: &str = "/code/coding";
const RESULT: &str = "/valueCodeableConcept/coding";

pub(super) fn read(
    event_id: &str,
    resource: &Value,
    references: &References,
    context: Context<'_>,
) -> Result<Fact, RowError> {
    let person = || Person::referred(resource, "/subject", references);
    let taken_back = |why| Ok(Fact::taken_back((event_id, why), person()?, resource, place_of_time(resource), context));
    let status = text(resource, "/status");
    // Before anything else: what was wrong may have been the code.
    if status == Some("entered-in-error") {
        return taken_back("entered in error");
    }
    let test = test(resource)?;
    match status {
        Some("final" | "amended" | "corrected") => {}
        Some("registered" | "preliminary") => return Err(RowError::Ignored("the result is not final yet".into())),
        Some("cancelled") => return taken_back("cancelled"),
        Some(_) | None => {
            let expected = "expected final, amended, corrected, registered, preliminary, cancelled or entered-in-error";
            return Err(fault("/status", expected));
        }
    }
    let Some(result) = result(resource)? else { return taken_back("no result") };
    let pointer = place_of_time(resource);
    let occurred_at = time_at(resource, pointer, context).ok_or_else(|| fault(pointer, DATE_TIME))?;
    Ok(Fact { person: person()?, occurred_at, pointer, data: EventData::TestResult { test, result } })
}

/// A test for anything else is no business of a health code.
fn test(resource: &Value) -> Result<TestKind, RowError> {
    let mut codes = codes(resource, CODE, LOINC).peekable();
    if codes.peek().is_none() {
        return Err(fault(CODE, format!("expected a coding of system {LOINC}")));
    }
    let kind = one(codes.filter_map(|code| TESTS.get(code)), CODE)?;
    kind.ok_or_else(|| RowError::Ignored("not a test for SARS-CoV-2 that counts here (by its LOINC code)".into()))
}

/// `None` where the resource says that there is no result.
fn result(resource: &Value) -> Result<Option<TestOutcome>, RowError> {
    let known = codes(resource, RESULT, SNOMED_CT).filter_map(|code| RESULTS.get(code));
    let result = one(known, RESULT)?;
    let has_a_value = resource.as_object().into_iter().flatten().any(|(key, _)| key.starts_with("value"));
    if result.is_some() || (!has_a_value && resource.get("dataAbsentReason").is_some()) {
        return Ok(result);
    }
    let names: Vec<_> = RESULTS.keys().map(String::as_str).collect();
    Err(fault(RESULT, format!("expected a coding of system {SNOMED_CT} with one of the codes {}", names.join(", "))))
}

/// Where it stands when the sample was taken. Of a period the start: a test must not look fresher than it is.
fn place_of_time(resource: &Value) -> &'static str {
    let places = ["/effectiveDateTime", "/effectiveInstant", "/effectivePeriod/start"];
    places.into_iter().find(|p| resource.pointer(p).is_some()).unwrap_or(places[0])
}

/// What several codings say, if they agree.
fn one<'a, T: Copy + PartialEq + 'a>(
    mut said: impl Iterator<Item = &'a T>,
    pointer: &str,
) -> Result<Option<T>, RowError> {
    let Some(first) = said.next() else { return Ok(None) };
    if said.all(|other| other == first) {
        Ok(Some(*first))
    } else {
        Err(fault(pointer, "expected codings that say the same"))
    }
}
