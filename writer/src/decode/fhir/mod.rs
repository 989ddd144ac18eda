//! FHIR R4 `Patient`, `Immunization` and `Observation` (hl7.org/fhir/R4). The row itself or its Bundle names the
//! person, so a reference needs no earlier row. The event's id is `Type/id`, its revision comes from `meta`.

mod bundle;
mod immunization;
mod observation;
mod patient;
mod person;
mod terminology;
mod time;

use serde_json::Value;
use yima_schema::event::{Event, EventData, StoredEvent};
use yima_schema::limits::MAX_REVISION;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::time::Time;

pub use self::bundle::{Bundle, BundleType};
pub use self::person::{Person, References};
use self::time::{date_time, not_in_the_future, time_at};
use super::{Context, DecodedRow, RowError};

const ID: &str = "expected a FHIR id: 1 to 64 letters, digits, dashes and dots";
const DATE_TIME: &str = "expected a FHIR dateTime, such as 2021, 2021-05, 2021-05-16 or 2021-05-16T05:15:06-04:00";

/// The types of resources that are understood.
#[derive(Clone, Copy)]
enum ResourceType {
    Patient,
    Immunization,
    Observation,
}

impl ResourceType {
    const ALL: [Self; 3] = [Self::Patient, Self::Immunization, Self::Observation];

    fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "Patient",
            Self::Immunization => "Immunization",
            Self::Observation => "Observation",
        }
    }

    fn of(resource: &Value) -> Result<Self, RowError> {
        let name = text(resource, "/resourceType");
        Self::ALL.into_iter().find(|known| Some(known.as_str()) == name).ok_or_else(|| {
            let expected = "expected Patient, Immunization or Observation: other resources are not understood here";
            invalid("/resourceType", expected)
        })
    }
}

/// The fact that a resource states about a person: an event without its id and revision.
struct Statement {
    person: Person,
    occurred_at: Time,
    /// Pointer to the element of `occurred_at`.
    pointer: &'static str,
    data: EventData,
}

impl Statement {
    /// A resource that says that its earlier versions do not hold: a retraction of its own id. Made whether or not
    /// there is an earlier version, since that may arrive later. Its time is the resource's (at `pointer`) or the time
    /// of its last change, whichever is earlier, as a cancelled test may have been planned for later; both may be
    /// missing.
    fn retraction(
        (event_id, why): (&str, &str),
        person: Person,
        resource: &Value,
        pointer: &'static str,
        context: Context<'_>,
    ) -> Self {
        let times = [pointer, "/meta/lastUpdated"].map(|at| Some((time_at(resource, at, context)?, at)));
        let (occurred_at, pointer) = times.into_iter().flatten().min().unwrap_or_default();
        let data = EventData::Retraction { event_id: event_id.into(), why: why.into() };
        Self { person, occurred_at, pointer, data }
    }
}

/// Decodes a resource.
pub(super) fn decode(resource: &Value, references: &References, context: Context<'_>) -> DecodedRow {
    let resource_type = ResourceType::of(resource);
    let own_id = text(resource, "/id").filter(|id| is_id(id));
    let event_id = |resource_type: ResourceType, own_id: &str| format!("{}/{own_id}", resource_type.as_str());
    let id = resource_type.as_ref().ok().and_then(|resource_type| Some(event_id(*resource_type, own_id?)));
    let event = resource_type.and_then(|resource_type| {
        let own_id = own_id.ok_or_else(|| invalid("/id", ID))?;
        refuse_modifiers(resource)?;
        let revision = revision(resource, context)?;
        let event_id = event_id(resource_type, own_id);
        let statement = match resource_type {
            ResourceType::Patient => patient::decode(own_id, resource, context)?,
            ResourceType::Immunization => immunization::decode(&event_id, resource, references, context)?,
            ResourceType::Observation => observation::decode(&event_id, resource, references, context)?,
        };
        not_in_the_future(statement.pointer, statement.occurred_at, context)?;
        let document = statement.person.document(context)?;
        let event = Event {
            subject: context.pseudonyms.subject(&document),
            agency: context.agency.to_owned(),
            id: event_id,
            revision,
            document: document.masked(),
            occurred_at: statement.occurred_at,
            data: statement.data,
        };
        Ok(StoredEvent::new(event, context.now))
    });
    DecodedRow { id, event }
}

/// Refuses elements that may change a resource's meaning in an unknown way: they must not be ignored (FHIR R4 section
/// 2.1.0.12).
fn refuse_modifiers(resource: &Value) -> Result<(), RowError> {
    let modifier = ["modifierExtension", "implicitRules"].into_iter().find(|key| resource.get(key).is_some());
    modifier.map_or(Ok(()), |key| {
        Err(invalid(&format!("/{key}"), "expected none: it may change the meaning of the resource"))
    })
}

/// `meta.versionId` if it is a whole number in plain digits, else `meta.lastUpdated` in milliseconds, 0 without either.
fn revision(resource: &Value, context: Context<'_>) -> Result<u64, RowError> {
    let version = resource.pointer("/meta/versionId");
    if let Some(written) = version.and_then(Value::as_str)
        && let Ok(number) = written.parse::<u64>()
        && number.to_string() == written
    {
        return (number <= MAX_REVISION)
            .then_some(number)
            .ok_or_else(|| invalid("/meta/versionId", "expected a number up to 9007199254740991"));
    }
    match (text(resource, "/meta/lastUpdated"), version) {
        (Some(updated), _) => {
            let time =
                date_time(updated, context).ok_or_else(|| invalid("/meta/lastUpdated", "expected a FHIR instant"))?;
            // Until that time no correction could have a higher revision.
            not_in_the_future("/meta/lastUpdated", time, context)?;
            Ok(u64::try_from(time.as_millis()).unwrap_or(0))
        }
        (None, Some(_)) => Err(invalid(
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

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn invalid(pointer: &str, expected: impl Into<String>) -> RowError {
    RowError::Rejected(Problem::invalid(vec![FieldError::new(pointer, expected)]))
}
