//! FHIR R4 `Patient`, `Immunization` and `Observation` (hl7.org/fhir/R4). The row itself or its Bundle names the
//! person, so a reference needs no earlier row. The event's id is `Type/id`, its revision comes from `meta`.

mod bundle;
mod contradiction;
mod derived_id;
mod immunization;
mod observation;
mod patient;
mod person;
mod reading;
mod resource_type;
mod terminology;
mod time;

use bytes::Bytes;
use serde_json::Value;
use yima_schema::event::{Event, EventData, Rank, StoredEvent};
use yima_schema::limits::MAX_REVISION;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::DocumentType;
use yima_schema::time::Time;

pub use self::bundle::{Bundle, BundleType};
use self::contradiction::refuse_two_forms;
use self::derived_id::{derived_id, has_business_identifier};
pub use self::person::{Person, References};
use self::resource_type::{ResourceType, refuse_contained_facts};
use self::time::{date_time, latest_meant, not_in_the_future, time_at};
use super::plausibility::{NUMBER, can_be_born, implausible};
use super::{Context, DecodedRow, Identified, NOT_COUNTED, NotCounted, RowError, UnreadPositive};

const ID: &str = "expected a FHIR id: 1 to 64 letters, digits, dashes and dots";
const DATE_TIME: &str = "expected a FHIR dateTime, such as 2021, 2021-05, 2021-05-16 or 2021-05-16T05:15:06-04:00";

/// The fact that a resource states about a person: an event without its id and revision.
struct Statement {
    person: Person,
    occurred_at: Time,
    /// Pointer to the element of `occurred_at`.
    pointer: &'static str,
    fact: Fact,
}

/// The rank of a resource among those of its revision, by its status.
fn rank(resource: &Value) -> Rank {
    match text(resource, "/status") {
        Some("amended" | "corrected") => Rank::Corrected,
        Some("entered-in-error") => Rank::EnteredInError,
        Some(_) | None => Rank::Original,
    }
}

/// What a resource says.
enum Fact {
    /// The data of an event.
    Data(EventData),
    /// That its earlier versions do not hold, and why: a retraction of its own id.
    Void(&'static str),
    /// A result that is or may be positive, and that is not understood.
    NotUnderstood(NotUnderstood),
}

/// The element that is not understood.
struct NotUnderstood {
    pointer: &'static str,
    expected: String,
    /// The test's LOINC code.
    code: Option<String>,
}

impl Statement {
    /// A resource that says that its earlier versions do not hold. It retracts its own id whether or not there is an
    /// earlier version, since that may arrive later. Its time is the resource's (at `pointer`) or the time of its last
    /// change, whichever is earlier, as a cancelled test may have been planned for later; both may be missing.
    fn void(why: &'static str, person: Person, resource: &Value, pointer: &'static str, context: Context<'_>) -> Self {
        let times = [pointer, "/meta/lastUpdated"].map(|at| Some((time_at(resource, at, context)?, at)));
        let (occurred_at, pointer) = times.into_iter().flatten().min().unwrap_or_default();
        Self { person, occurred_at, pointer, fact: Fact::Void(why) }
    }
}

/// Decodes a resource.
pub(super) fn decode(resource: &Value, references: &References, context: Context<'_>) -> DecodedRow {
    let resource_type = ResourceType::of(resource);
    let own_id = text(resource, "/id").filter(|id| is_id(id));
    let id = resource_type.as_ref().ok().and_then(|known| Some(format!("{}/{}", known.as_str(), own_id?)));
    let event = refuse_contained_facts(resource)
        .and(resource_type)
        .and_then(|resource_type| decode_event(resource_type, own_id, resource, references, context));
    let id = id.or_else(|| event.as_ref().ok().map(|(event, _)| event.event.id.clone()));
    DecodedRow { id, event }
}

fn decode_event(
    resource_type: ResourceType,
    own_id: Option<&str>,
    resource: &Value,
    references: &References,
    context: Context<'_>,
) -> Result<(StoredEvent, DocumentType), RowError> {
    if own_id.is_none() && resource.get("id").is_some() {
        return Err(invalid("/id", ID));
    }
    refuse_modifiers(resource)?;
    refuse_two_forms(resource)?;
    let revision = revision(resource, context)?;
    let statement = match resource_type {
        ResourceType::Patient => patient::decode(own_id, resource, context),
        ResourceType::Immunization => immunization::decode(resource, references, context),
        ResourceType::Observation => observation::decode(resource, references, context),
    };
    let event_of = |statement| event(statement, revision, resource_type, own_id, resource, context);
    match statement {
        // Without an id of its own it is a fact of its own: the code is part of the id that it gets.
        Err(RowError::NotCounted(fact)) if own_id.is_some() => {
            let person = Person::referred(resource, resource_type.subject(), references);
            let withdrawal = person
                .map(|person| Statement::void(NOT_COUNTED, person, resource, "/meta/lastUpdated", context))
                .and_then(event_of)
                .map_err(RowError::into_problem);
            Err(RowError::NotCounted(Box::new(NotCounted { withdrawal: Some(withdrawal), ..*fact })))
        }
        statement => event_of(statement?),
    }
}

/// The event of a statement.
fn event(
    statement: Statement,
    revision: u64,
    resource_type: ResourceType,
    own_id: Option<&str>,
    resource: &Value,
    context: Context<'_>,
) -> Result<(StoredEvent, DocumentType), RowError> {
    not_in_the_future(statement.pointer, statement.occurred_at, context)?;
    let (person, document) = statement.person.identified(context)?;
    if document.as_ref().is_some_and(|document| !can_be_born(document, context)) {
        return Err(invalid(resource_type.subject(), NUMBER));
    }
    let subject = person.subject;
    if own_id.is_none() && matches!(statement.fact, Fact::Void(_)) && !has_business_identifier(resource) {
        return Err(invalid("/id", "expected the id of the resource that is taken back"));
    }
    let own_id = own_id.map_or_else(|| derived_id(resource_type, resource, subject, context), str::to_owned);
    let id = format!("{}/{own_id}", resource_type.as_str());
    let data = match statement.fact {
        Fact::Data(data) => match &document {
            Some(document) => data.born(document),
            None => data,
        },
        Fact::Void(why) => EventData::Retraction { event_id: id.clone(), why: why.to_owned() },
        Fact::NotUnderstood(NotUnderstood { pointer, expected, code }) => {
            let problem = Problem::invalid(vec![FieldError::new(pointer, expected)]);
            let unread = UnreadPositive { problem, code, person, resource: Bytes::new() };
            return Err(RowError::UnreadPositive(Box::new(unread)));
        }
    };
    // Without its element, the time of the event says nothing.
    if let Some(written) = text(resource, statement.pointer)
        && let latest = latest_meant(written, statement.occurred_at)
        && let Some(expected) = implausible(data.kind(), latest, document.and_then(|document| document.born()), context)
    {
        return Err(invalid(statement.pointer, expected));
    }
    let event = Event {
        subject,
        agency: context.agency.to_owned(),
        id,
        revision,
        document: person.document,
        occurred_at: statement.occurred_at,
        data,
    };
    Ok((StoredEvent::ranked(event, rank(resource), context.now), person.document_type))
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
