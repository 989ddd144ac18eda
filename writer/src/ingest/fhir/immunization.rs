//! FHIR R4 `Immunization`: a dose of a vaccine, by its CVX code.

use serde_json::Value;
use yima_schema::event::EventData;

use super::super::json::covid_19_only;
use super::{Context, DATE_TIME, Fact, Person, References, RowError, codes, fault, text, time_at};

const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const TIME: &str = "/occurrenceDateTime";
const DOSE: &str = "/protocolApplied/0/doseNumberPositiveInt";

pub(super) fn read(
    event_id: &str,
    resource: &Value,
    references: &References,
    context: Context<'_>,
) -> Result<Fact, RowError> {
    let person = Person::referred(resource, "/patient", references)?;
    let taken_back = |why, person| Ok(Fact::taken_back((event_id, why), person, resource, TIME, context));
    let status = text(resource, "/status");
    // Before anything else: what was wrong may have been the vaccine.
    if status == Some("entered-in-error") {
        return taken_back("entered in error", person);
    }
    let cvx = codes(resource, "/vaccineCode/coding", CVX).next();
    let cvx = cvx.ok_or_else(|| fault("/vaccineCode/coding", format!("expected a coding of system {CVX}")))?;
    match status {
        Some("completed" | "not-done") => covid_19_only(cvx, context)?,
        Some(_) | None => return Err(fault("/status", "expected completed, not-done or entered-in-error")),
    }
    if status == Some("not-done") {
        return taken_back("not done", person);
    }
    if resource.get("isSubpotent") == Some(&Value::Bool(true)) {
        return taken_back("subpotent", person);
    }
    let occurred_at = time_at(resource, TIME, context).ok_or_else(|| fault(TIME, DATE_TIME))?;
    let dose = match resource.pointer(DOSE) {
        Some(number) => {
            let dose = number.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=20).contains(n));
            Some(dose.ok_or_else(|| fault(DOSE, "expected a whole number from 1 to 20"))?)
        }
        None => None,
    };
    let data = EventData::Vaccination { vaccine: cvx.to_owned(), dose };
    Ok(Fact { person, occurred_at, pointer: TIME, data })
}
