//! FHIR R4 `Patient`, `Immunization` and `Observation` (hl7.org/fhir/R4). The subject is whom the row itself or its bundle names, so that
//! a reference needs no earlier row. The event's id is `Type/id`, its revision comes from `meta`.

mod bundle;
mod immunization;
mod observation;
mod outcome;
mod patient;
mod person;
mod terminology;

use jiff::civil::{Date, DateTime};
use serde_json::Value;
use yima_schema::event::{Event, EventData, StoredEvent};
use yima_schema::problem::{FieldError, Problem};
use yima_schema::time::Time;

pub use self::bundle::{Bundle, BundleType};
pub use self::outcome::{Issue, OperationOutcome, issues};
pub use self::person::{Person, References};
use super::{Context, Row, RowError};

const ID: &str = "expected a FHIR id: 1 to 64 letters, digits, dashes and dots";
const DATE_TIME: &str = "expected a FHIR dateTime, such as 2021, 2021-05, 2021-05-16 or 2021-05-16T05:15:06-04:00";

#[derive(Clone, Copy)]
enum Kind {
    Patient,
    Immunization,
    Observation,
}

/// What a resource says of a patient.
struct Fact {
    person: Person,
    occurred_at: Time,
    /// Where `occurred_at` stands.
    pointer: &'static str,
    data: EventData,
}

impl Fact {
    /// A resource that says that what it said before does not hold: a retraction of its own id. Made whether or not there is anything
    /// to take back, since an earlier version may come later. Its time is the resource's (at `pointer`) or that of its last change,
    /// whichever is earlier, as a test that was cancelled may have been planned for later; all of it may be missing.
    fn taken_back(
        (event_id, why): (&str, &str),
        person: Person,
        resource: &Value,
        pointer: &'static str,
        context: Context<'_>,
    ) -> Self {
        let times = [pointer, "/meta/lastUpdated"].map(|at| Some((time_at(resource, at, context)?, at)));
        let (occurred_at, pointer) = times.into_iter().flatten().min().unwrap_or_default();
        Self {
            person,
            occurred_at,
            pointer,
            data: EventData::Retraction { event_id: event_id.into(), why: why.into() },
        }
    }
}

/// Reads a resource.
pub(super) fn read(resource: &Value, references: &References, context: Context<'_>) -> Row {
    let kind = match text(resource, "/resourceType") {
        Some("Patient") => Ok(Kind::Patient),
        Some("Immunization") => Ok(Kind::Immunization),
        Some("Observation") => Ok(Kind::Observation),
        Some(_) | None => Err(fault(
            "/resourceType",
            "expected Patient, Immunization or Observation: other resources are not understood here",
        )),
    };
    let own_id = text(resource, "/id").filter(|id| is_id(id));
    let id = kind.as_ref().ok().and_then(|kind| Some(event_id(*kind, own_id?)));
    let event = kind.and_then(|kind| {
        let own_id = own_id.ok_or_else(|| fault("/id", ID))?;
        refuse_modifiers(resource)?;
        let revision = revision(resource, context)?;
        let event_id = event_id(kind, own_id);
        let fact = match kind {
            Kind::Patient => patient::read(own_id, resource, context)?,
            Kind::Immunization => immunization::read(&event_id, resource, references, context)?,
            Kind::Observation => observation::read(&event_id, resource, references, context)?,
        };
        not_in_the_future(fact.pointer, fact.occurred_at, context)?;
        let document = fact.person.document(context)?;
        let event = Event {
            subject: context.pseudonyms.subject(&document),
            agency: context.agency.to_owned(),
            id: event_id,
            revision,
            document: document.masked(),
            occurred_at: fact.occurred_at,
            data: fact.data,
        };
        Ok(StoredEvent::new(event, context.now))
    });
    Row { id, event }
}

fn event_id(kind: Kind, id: &str) -> String {
    let kind = match kind {
        Kind::Patient => "Patient",
        Kind::Immunization => "Immunization",
        Kind::Observation => "Observation",
    };
    format!("{kind}/{id}")
}

/// What changes a resource's meaning in ways that we do not know must not be passed over (FHIR R4 section 2.1.0.12).
fn refuse_modifiers(resource: &Value) -> Result<(), RowError> {
    let found = ["modifierExtension", "implicitRules"].into_iter().find(|key| resource.get(key).is_some());
    found.map_or(Ok(()), |key| {
        Err(fault(&format!("/{key}"), "expected none: it may change the meaning of the resource"))
    })
}

/// `meta.versionId` where it is a number as such are written, else `meta.lastUpdated` in milliseconds; 0 where neither is there.
fn revision(resource: &Value, context: Context<'_>) -> Result<u64, RowError> {
    let version = resource.pointer("/meta/versionId");
    if let Some(written) = version.and_then(Value::as_str)
        && let Ok(number) = written.parse::<u64>()
        && number.to_string() == written
    {
        return Ok(number);
    }
    match (text(resource, "/meta/lastUpdated"), version) {
        (Some(updated), _) => {
            let time =
                date_time(updated, context).ok_or_else(|| fault("/meta/lastUpdated", "expected a FHIR instant"))?;
            // Nothing could correct it until then.
            not_in_the_future("/meta/lastUpdated", time, context)?;
            Ok(u64::try_from(time.as_millis()).unwrap_or(0))
        }
        (None, Some(_)) => Err(fault(
            "/meta/versionId",
            "expected a whole number, or meta.lastUpdated beside it: revisions have an order",
        )),
        (None, None) => Ok(0),
    }
}

/// The codes of one code system among the codings at `pointer`.
fn codes<'a>(resource: &'a Value, pointer: &str, system: &'static str) -> impl Iterator<Item = &'a str> {
    let codings = resource.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    codings.filter(move |c| text(c, "/system") == Some(system)).filter_map(|c| text(c, "/code"))
}

fn not_in_the_future(pointer: &str, time: Time, context: Context<'_>) -> Result<(), RowError> {
    if time > context.latest() { Err(fault(pointer, "expected a time that is not in the future")) } else { Ok(()) }
}

/// The FHIR dateTime or date at `pointer`.
fn time_at(resource: &Value, pointer: &str, context: Context<'_>) -> Option<Time> {
    date_time(text(resource, pointer)?, context)
}

/// A FHIR dateTime or date; one without a time is the first moment of its day, month or year where the writer is.
fn date_time(text: &str, context: Context<'_>) -> Option<Time> {
    if text.contains('T') {
        return text.parse().ok();
    }
    // By length: the parser would take a time after a space, and pass over its offset.
    let date: Date = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => return None,
    }
    .parse()
    .ok()?;
    let start = DateTime::from_parts(date, jiff::civil::Time::midnight());
    let utc = start.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Time::from_secs(utc - i64::from(context.date_offset_minutes) * 60))
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn fault(pointer: &str, expected: impl Into<String>) -> RowError {
    RowError::Rejected(Problem::invalid(vec![FieldError::new(pointer, expected)]))
}
