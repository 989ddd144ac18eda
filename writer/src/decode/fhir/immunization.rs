//! FHIR R4 `Immunization`: a dose of a vaccine, by its CVX code.

use serde_json::Value;
use yima_schema::event::EventData;

use super::super::json::covid_19_only;
use super::{Context, DATE_TIME, Fact, Person, References, RowError, Statement, codes, invalid, text, time_at};

const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const TIME: &str = "/occurrenceDateTime";
const DOSE: &str = "/protocolApplied/0/doseNumberPositiveInt";

/// Decodes an Immunization.
pub(super) fn decode(resource: &Value, references: &References, context: Context<'_>) -> Result<Statement, RowError> {
    let person = Person::referred(resource, "/patient", references)?;
    let void = |why, person| Ok(Statement::void(why, person, resource, TIME, context));
    let status = text(resource, "/status");
    // Before the vaccine is looked up: the vaccine may have been the error.
    if status == Some("entered-in-error") {
        return void("entered in error", person);
    }
    let cvx = codes(resource, "/vaccineCode/coding", CVX).next();
    let cvx = cvx.ok_or_else(|| invalid("/vaccineCode/coding", format!("expected a coding of system {CVX}")))?;
    match status {
        Some("completed" | "not-done") => covid_19_only(cvx, context)?,
        Some(_) | None => return Err(invalid("/status", "expected completed, not-done or entered-in-error")),
    }
    if status == Some("not-done") {
        return void("not done", person);
    }
    if resource.get("isSubpotent") == Some(&Value::Bool(true)) {
        return void("subpotent", person);
    }
    let occurred_at = time_at(resource, TIME, context).ok_or_else(|| invalid(TIME, DATE_TIME))?;
    let dose = match resource.pointer(DOSE) {
        Some(number) => {
            let dose = number.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=20).contains(n));
            Some(dose.ok_or_else(|| invalid(DOSE, "expected a whole number from 1 to 20"))?)
        }
        None => None,
    };
    let fact = Fact::Data(EventData::Vaccination { vaccine: cvx.to_owned(), dose });
    Ok(Statement { person, occurred_at, pointer: TIME, fact })
}
