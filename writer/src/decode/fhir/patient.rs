//! FHIR R4 `Patient`: identity and death of a person.

use serde_json::Value;
use yima_schema::event::EventData;
use yima_schema::mask::{is_han, masked_name};

use super::super::plausibility::is_birth_date;
use super::time::first_day;
use super::{Context, DATE_TIME, Fact, Person, RowError, Statement, date_time, invalid, not_in_the_future, text};

const BIRTH_DATE: &str =
    "expected a FHIR date, such as 1990, 1990-03 or 1990-03-07, from 1850 on and not in the future";

/// Decodes a Patient.
pub(super) fn decode(id: Option<&str>, resource: &Value, context: Context<'_>) -> Result<Statement, RowError> {
    let person = Person::of_patient(id, resource.get("identifier"))?;
    let name = resource.pointer("/name").and_then(Value::as_array).map_or(&[] as &[_], Vec::as_slice);
    let official = name.iter().find(|n| text(n, "/use") == Some("official"));
    let current = name.iter().find(|n| !matches!(text(n, "/use"), Some("maiden" | "old" | "temp")));
    let name = official.or(current).and_then(full_name).and_then(|name| masked_name(&name));
    let expected = "expected a name with text, or family and given, without control and format characters";
    let name = name.ok_or_else(|| invalid("/name", expected))?;
    let can_be = |date: &&str| first_day(date).is_some_and(|day| is_birth_date(day, context));
    let born = match resource.get("birthDate").map(|date| date.as_str().filter(can_be)) {
        Some(None) => return Err(invalid("/birthDate", BIRTH_DATE)),
        Some(Some(born)) => Some(born),
        None => None,
    };
    // A Patient does not say since when it is true: the time of its last change orders it among others.
    let occurred_at = text(resource, "/meta/lastUpdated").and_then(|time| date_time(time, context)).unwrap_or_default();
    let deceased_at = match (resource.get("deceasedDateTime"), resource.get("deceasedBoolean")) {
        (Some(at), _) => Some(
            at.as_str()
                .and_then(|time| date_time(time, context))
                .ok_or_else(|| invalid("/deceasedDateTime", DATE_TIME))?,
        ),
        (None, Some(Value::Bool(true))) => Some(occurred_at),
        (None, Some(Value::Bool(false)) | None) => None,
        (None, Some(_)) => return Err(invalid("/deceasedBoolean", "expected true or false")),
    };
    if let Some(at) = deceased_at {
        not_in_the_future("/deceasedDateTime", at, context)?;
    }
    // Dates in ISO 8601 compare as text, as far as both are known.
    if let (Some(born), Some(died)) = (born, text(resource, "/deceasedDateTime"))
        && born.chars().zip(died.chars()).find(|(born, died)| born != died).is_some_and(|(born, died)| died < born)
    {
        return Err(invalid("/deceasedDateTime", "expected a time that is not before the birthDate"));
    }
    let fact = Fact::Data(EventData::Identity { name, born: born.map(str::to_owned), deceased_at });
    Ok(Statement { person, occurred_at, pointer: "/meta/lastUpdated", fact })
}

/// `text`, else given names and family name; in Han characters the family name comes first, without a space.
fn full_name(name: &Value) -> Option<String> {
    if let Some(full) = text(name, "/text") {
        return Some(full.to_owned());
    }
    let given = name.get("given").and_then(Value::as_array);
    let given: Vec<_> = given.into_iter().flatten().filter_map(Value::as_str).collect();
    let family = text(name, "/family");
    let family_first = family.is_some_and(|f| f.chars().all(is_han));
    let parts: Vec<_> = if family_first {
        family.into_iter().chain(given).collect()
    } else {
        given.into_iter().chain(family).collect()
    };
    (!parts.is_empty()).then(|| parts.join(if family_first { "" } else { " " }))
}
