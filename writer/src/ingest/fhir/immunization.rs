//! FHIR R4 `Immunization`: a dose of a vaccine, by its CVX code.

use serde_json::Value;
use yima_schema::event::EventData;

use super::super::json::covid_19_only;
use super::{
    Context, DATE_TIME, Fact, NotTaken, References, codes, date_time, entered_in_error, fault, patient_of, text,
};

const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const DOSE: &str = "/protocolApplied/0/doseNumberPositiveInt";

pub(super) fn read<'a>(
    id: &str,
    resource: &'a Value,
    references: &'a References,
    context: Context<'_>,
) -> Result<Fact<'a>, NotTaken> {
    let patient = patient_of(resource, "/patient/reference", references)?;
    let cvx = codes(resource, "/vaccineCode/coding", CVX).next();
    let cvx = cvx.ok_or_else(|| fault("/vaccineCode/coding", format!("expected a coding of system {CVX}")))?;
    let pointer = "/occurrenceDateTime";
    let occurred_at = text(resource, pointer).and_then(date_time).ok_or_else(|| fault(pointer, DATE_TIME))?;
    let fact = |data| Fact { patient, occurred_at, pointer, data };
    match text(resource, "/status") {
        Some("completed") => covid_19_only(cvx, context)?,
        Some("not-done") => return Err(NotTaken::Ignored("the vaccination was not done".into())),
        Some("entered-in-error") => return Ok(fact(entered_in_error(format!("Immunization/{id}")))),
        Some(_) | None => return Err(fault("/status", "expected completed, not-done or entered-in-error")),
    }
    if resource.get("isSubpotent") == Some(&Value::Bool(true)) {
        return Err(NotTaken::Ignored("a subpotent dose does not count".into()));
    }
    let dose = match resource.pointer(DOSE) {
        Some(number) => {
            let dose = number.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=20).contains(n));
            Some(dose.ok_or_else(|| fault(DOSE, "expected a whole number from 1 to 20"))?)
        }
        None => None,
    };
    Ok(fact(EventData::Vaccination { vaccine: cvx.to_owned(), dose }))
}
