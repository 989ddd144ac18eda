//! FHIR R4 `Patient` and `Immunization` (hl7.org/fhir/R4). The subject is the agency's own: `local`, agency/Patient.id, so that a
//! reference needs no earlier row. The event's id is `Type/id`, its revision comes from `meta`.

use jiff::civil::{Date, DateTime};
use serde_json::Value;
use yima_schema::event::{Event, EventData, StoredEvent};
use yima_schema::mask::{is_han, mask_name};
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::{Document, DocumentType};
use yima_schema::time::Time;

use super::json::{covid_19_only, name_fits};
use super::{Context, NotTaken, Row};

const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const DATE_TIME: &str = "expected a FHIR dateTime, such as 2021, 2021-05, 2021-05-16 or 2021-05-16T05:15:06-04:00";

/// Reads a resource.
pub(super) fn read(resource: &Value, context: Context<'_>) -> Row {
    let kind = text(resource, "/resourceType").unwrap_or_default();
    let own_id = text(resource, "/id").filter(|id| is_id(id));
    let id = own_id.filter(|_| matches!(kind, "Patient" | "Immunization")).map(|id| format!("{kind}/{id}"));
    let event = resource_id(kind, own_id).and_then(|own_id| {
        refuse_modifiers(resource)?;
        let revision = revision(resource)?;
        let (patient, occurred_at, data) = match kind {
            "Patient" => patient(own_id, resource)?,
            _ => immunization(own_id, resource, context)?,
        };
        let (pointer, died) = match &data {
            EventData::Identity { deceased_at, .. } => ("/meta/lastUpdated", *deceased_at),
            EventData::TestResult { .. }
            | EventData::Vaccination { .. }
            | EventData::ColourAssignment { .. }
            | EventData::Retraction { .. } => ("/occurrenceDateTime", None),
        };
        for (pointer, time) in [(pointer, Some(occurred_at)), ("/deceasedDateTime", died)] {
            if time.is_some_and(|t| t > context.latest()) {
                return Err(fault(pointer, "expected a time that is not in the future"));
            }
        }
        let local = format!("{}/{patient}", context.agency);
        let document = Document::new(DocumentType::Local, &local).map_err(|f| fault("/id", f.to_string()))?;
        let event = Event {
            subject: context.pseudonyms.subject(&document),
            agency: context.agency.to_owned(),
            id: format!("{kind}/{own_id}"),
            revision,
            document: document.masked(),
            occurred_at,
            data,
        };
        Ok(StoredEvent::new(event, context.now))
    });
    Row { id, event }
}

fn resource_id<'a>(kind: &str, id: Option<&'a str>) -> Result<&'a str, NotTaken> {
    if !matches!(kind, "Patient" | "Immunization") {
        return Err(fault(
            "/resourceType",
            "expected Patient or Immunization: other resources are not understood here",
        ));
    }
    id.ok_or_else(|| fault("/id", "expected a FHIR id: 1 to 64 letters, digits, dashes and dots"))
}

/// What changes a resource's meaning in ways that we do not know must not be passed over (FHIR R4 section 2.1.0.12).
fn refuse_modifiers(resource: &Value) -> Result<(), NotTaken> {
    let found = ["modifierExtension", "implicitRules"].into_iter().find(|key| resource.get(key).is_some());
    found.map_or(Ok(()), |key| {
        Err(fault(&format!("/{key}"), "expected none: it may change the meaning of the resource"))
    })
}

/// `meta.versionId` where it is a number, else `meta.lastUpdated` in milliseconds, else 0.
fn revision(resource: &Value) -> Result<u64, NotTaken> {
    if let Some(version) = text(resource, "/meta/versionId") {
        return version
            .parse()
            .map_err(|_| fault("/meta/versionId", "expected a whole number: revisions have an order"));
    }
    let Some(updated) = text(resource, "/meta/lastUpdated") else { return Ok(0) };
    let time = date_time(updated).ok_or_else(|| fault("/meta/lastUpdated", "expected a FHIR instant"))?;
    Ok(u64::try_from(time.as_millis()).unwrap_or(0))
}

type Read<'a> = Result<(&'a str, Time, EventData), NotTaken>;

fn patient<'a>(id: &'a str, resource: &'a Value) -> Read<'a> {
    let name = resource.pointer("/name").and_then(Value::as_array).map_or(&[] as &[_], Vec::as_slice);
    let official = name.iter().find(|n| text(n, "/use") == Some("official"));
    let current = name.iter().find(|n| !matches!(text(n, "/use"), Some("maiden" | "old" | "temp")));
    let name = official.or(current).and_then(whole_name).filter(|n| name_fits(n));
    let name = name.ok_or_else(|| fault("/name", "expected a name with text, or family and given"))?;
    let born = resource.get("birthDate").map(|b| b.as_str().filter(|b| date_time(b).is_some() && b.len() <= 10));
    let born = match born {
        Some(None) => return Err(fault("/birthDate", "expected a FHIR date, such as 1990, 1990-03 or 1990-03-07")),
        Some(Some(born)) => Some(born),
        None => None,
    };
    // Nothing in a Patient says when it became true: the time of its last change, or of birth, orders it among others.
    let occurred_at = text(resource, "/meta/lastUpdated").or(born).and_then(date_time).unwrap_or_default();
    let deceased_at = match (resource.get("deceasedDateTime"), resource.get("deceasedBoolean")) {
        (Some(at), _) => Some(at.as_str().and_then(date_time).ok_or_else(|| fault("/deceasedDateTime", DATE_TIME))?),
        (None, Some(Value::Bool(true))) => Some(occurred_at),
        (None, Some(Value::Bool(false)) | None) => None,
        (None, Some(_)) => return Err(fault("/deceasedBoolean", "expected true or false")),
    };
    let data = EventData::Identity { name: mask_name(&name), born: born.map(str::to_owned), deceased_at };
    Ok((id, occurred_at, data))
}

fn immunization<'a>(id: &str, resource: &'a Value, context: Context<'_>) -> Read<'a> {
    let reference = text(resource, "/patient/reference").and_then(|r| r.strip_prefix("Patient/"));
    let patient = reference.map(|r| r.split_once("/_history/").map_or(r, |(id, _)| id)).filter(|id| is_id(id));
    let patient = patient.ok_or_else(|| fault("/patient/reference", "expected a relative reference: Patient/id"))?;
    let codings = resource.pointer("/vaccineCode/coding").and_then(Value::as_array);
    let cvx = codings.into_iter().flatten().find(|c| text(c, "/system") == Some(CVX)).and_then(|c| text(c, "/code"));
    let cvx = cvx.ok_or_else(|| fault("/vaccineCode/coding", format!("expected a coding of system {CVX}")))?;
    let occurred_at = text(resource, "/occurrenceDateTime").and_then(date_time);
    let occurred_at = occurred_at.ok_or_else(|| fault("/occurrenceDateTime", DATE_TIME))?;
    match text(resource, "/status") {
        Some("completed") => covid_19_only(cvx, context)?,
        Some("not-done") => return Err(NotTaken::Ignored("the vaccination was not done".into())),
        Some("entered-in-error") => {
            let data = EventData::Retraction { event_id: format!("Immunization/{id}"), why: "entered in error".into() };
            return Ok((patient, occurred_at, data));
        }
        Some(_) | None => return Err(fault("/status", "expected completed, not-done or entered-in-error")),
    }
    if resource.get("isSubpotent") == Some(&Value::Bool(true)) {
        return Err(NotTaken::Ignored("a subpotent dose does not count".into()));
    }
    let dose = match resource.pointer("/protocolApplied/0/doseNumberPositiveInt") {
        Some(number) => {
            let dose = number.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=20).contains(n));
            let pointer = "/protocolApplied/0/doseNumberPositiveInt";
            Some(dose.ok_or_else(|| fault(pointer, "expected a whole number from 1 to 20"))?)
        }
        None => None,
    };
    Ok((patient, occurred_at, EventData::Vaccination { vaccine: cvx.to_owned(), dose }))
}

/// `text`, else the given names and the family name; in Han characters the family name stands first, without a space.
fn whole_name(name: &Value) -> Option<String> {
    if let Some(whole) = text(name, "/text") {
        return Some(whole.to_owned());
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

/// A FHIR dateTime or date; one without a time is its first moment, UTC.
fn date_time(text: &str) -> Option<Time> {
    if text.contains('T') {
        return text.parse().ok();
    }
    let date: Date = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    }
    .parse()
    .ok()?;
    let start = DateTime::from_parts(date, jiff::civil::Time::midnight());
    Some(Time::from_secs(start.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn fault(pointer: &str, expected: impl Into<String>) -> NotTaken {
    NotTaken::Rejected(Problem::invalid(vec![FieldError::new(pointer, expected)]))
}
