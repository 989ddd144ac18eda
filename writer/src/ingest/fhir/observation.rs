//! FHIR R4 `Observation`: the result of a laboratory test, what was tested by LOINC, what was found by SNOMED CT.

use serde_json::Value;
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::terminology::{LOINC, RESULTS, SNOMED_CT, TESTS};
use super::{DATE_TIME, Fact, NotTaken, References, codes, date_time, entered_in_error, fault, patient_of, text};

const CODE: &str = "/code/coding";
const RESULT: &str = "/valueCodeableConcept/coding";

pub(super) fn read<'a>(id: &str, resource: &'a Value, references: &'a References) -> Result<Fact<'a>, NotTaken> {
    let test = test(resource)?;
    let patient = patient_of(resource, "/subject/reference", references)?;
    let (pointer, occurred_at) = sampled_at(resource)?;
    let fact = |data| Fact { patient, occurred_at, pointer, data };
    match text(resource, "/status") {
        Some("final" | "amended" | "corrected") => {}
        Some("registered" | "preliminary") => return Err(NotTaken::Ignored("the result is not final yet".into())),
        Some("cancelled") => return Err(NotTaken::Ignored("the test was cancelled".into())),
        Some("entered-in-error") => return Ok(fact(entered_in_error(format!("Observation/{id}")))),
        Some(_) | None => {
            let expected = "expected final, amended, corrected, registered, preliminary, cancelled or entered-in-error";
            return Err(fault("/status", expected));
        }
    }
    Ok(fact(EventData::TestResult { test, result: result(resource)? }))
}

/// A test for anything else is no business of a health code.
fn test(resource: &Value) -> Result<TestKind, NotTaken> {
    let mut codes = codes(resource, CODE, LOINC).peekable();
    if codes.peek().is_none() {
        return Err(fault(CODE, format!("expected a coding of system {LOINC}")));
    }
    let kind = one(codes.filter_map(|code| TESTS.get(code)), CODE)?;
    kind.ok_or_else(|| NotTaken::Ignored("not a test for SARS-CoV-2 that counts here (by its LOINC code)".into()))
}

fn result(resource: &Value) -> Result<TestOutcome, NotTaken> {
    let known = codes(resource, RESULT, SNOMED_CT).filter_map(|code| RESULTS.get(code));
    if let Some(result) = one(known, RESULT)? {
        return Ok(result);
    }
    let has_a_value = resource.as_object().into_iter().flatten().any(|(key, _)| key.starts_with("value"));
    if !has_a_value && resource.get("dataAbsentReason").is_some() {
        return Err(NotTaken::Ignored("there is no result (dataAbsentReason)".into()));
    }
    let names: Vec<_> = RESULTS.keys().map(String::as_str).collect();
    Err(fault(RESULT, format!("expected a coding of system {SNOMED_CT} with one of the codes {}", names.join(", "))))
}

/// When the sample was taken. Of a period the start: a test must not look fresher than it is.
fn sampled_at(resource: &Value) -> Result<(&'static str, yima_schema::time::Time), NotTaken> {
    let places = ["/effectiveDateTime", "/effectiveInstant", "/effectivePeriod/start"];
    let pointer = places.into_iter().find(|p| resource.pointer(p).is_some()).unwrap_or(places[0]);
    let time = text(resource, pointer).and_then(date_time);
    time.map(|time| (pointer, time)).ok_or_else(|| fault(pointer, DATE_TIME))
}

/// What several codings say, if they agree.
fn one<'a, T: Copy + PartialEq + 'a>(
    mut said: impl Iterator<Item = &'a T>,
    pointer: &str,
) -> Result<Option<T>, NotTaken> {
    let Some(first) = said.next() else { return Ok(None) };
    if said.all(|other| other == first) {
        Ok(Some(*first))
    } else {
        Err(fault(pointer, "expected codings that say the same"))
    }
}
