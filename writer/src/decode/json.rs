//! yima's own event as JSON.

use jiff::civil::Date;
use serde_json::Value;
use yima_schema::event::{
    Colour, Event, EventData, EventKind, GuardianshipChange, StoredEvent, TestKind, TestOutcome, is_event_id,
};
use yima_schema::limits::{MAX_REVISION, MAX_WHY_CHARS};
use yima_schema::mask::masked_name;
use yima_schema::plain_text::plain_text;
use yima_schema::problem::{FieldError, Problem, ProblemType};
use yima_schema::subject::{Document, DocumentType};
use yima_schema::time::Time;

use super::fields::{Fields, invalid};
use super::plausibility::{BORN, NUMBER, can_be_born, implausible, is_birth_date};
use super::{Context, DecodedRow, NOT_COUNTED, NotCounted, RowError};

const TIME: &str = "expected a time as RFC 3339 writes it, with an offset, such as 2026-11-22T07:30:00Z";
const REVISION: &str = "expected a whole number from 0 to 9007199254740991";
const NAME: &str = "expected a name of 1 to 200 characters, without control and format characters";
const WHY: &str = "expected the reason in 1 to 200 characters, without control and format characters";
const EVENT_ID: &str = "expected 1 to 100 letters, digits or . _ : / -";

/// Decodes an event; reports every field that has an error.
pub(super) fn decode(value: &Value, context: Context<'_>) -> DecodedRow {
    let mut event = Fields::new(Some(value), "");
    if !value.is_object() {
        return DecodedRow::rejected(Problem::invalid(event.finish()));
    }
    let id = event.required("id", EVENT_ID, |v| v.as_str().filter(|id| is_event_id(id)).map(str::to_owned));
    let is_own_agency = event.optional("agency").map(|v| v.as_str() == Some(context.agency));
    if is_own_agency == Some(false) {
        let detail = "an agency writes under its own name only: leave `agency` out or send the token's";
        let mut problem = Problem::new(ProblemType::Forbidden, detail);
        problem.errors = vec![FieldError::new("/agency", "expected the agency of the token")];
        return DecodedRow { id, event: Err(RowError::Rejected(problem)) };
    }
    let whole = |v: &Value| v.as_u64().filter(|n| *n <= MAX_REVISION);
    let revision = event.maybe("revision", REVISION, whole).map(Option::unwrap_or_default);
    let kind = event.one_of("kind", &EventKind::OF_AGENCIES.map(|kind| (kind.as_str(), kind)));
    let latest = context.latest();
    let occurred_at = event.required("occurred_at", TIME, time);
    if occurred_at.is_some_and(|t| t > latest) {
        event.reject("occurred_at", "expected a time that is not in the future");
    }
    let (document, subject_errors) = document(event.optional("subject"), context);
    let born = document.as_ref().and_then(Document::born);
    if let (Some(kind), Some(at)) = (kind, occurred_at)
        && let Some(expected) = implausible(kind, at, born, context)
    {
        event.reject("occurred_at", expected);
    }
    let data = event.optional("data");
    let mut errors = event.finish();
    errors.extend(subject_errors);
    let data = kind.and_then(|kind| {
        let mut fields = Fields::new(data, "/data");
        let data = decode_data(kind, &mut fields, occurred_at, document.as_ref(), context);
        errors.extend(fields.finish());
        data
    });
    let event = match (id.clone(), revision, occurred_at, document, data) {
        (Some(id), Some(revision), Some(occurred_at), Some(document), Some(data)) if errors.is_empty() => {
            let event = Event {
                subject: context.pseudonyms.subject(&document),
                agency: context.agency.to_owned(),
                id,
                revision,
                document: document.masked(),
                occurred_at,
                data: data.born(&document),
            };
            Ok((event, document.kind()))
        }
        _ => Err(RowError::Rejected(invalid(errors))),
    };
    let event = event.and_then(|(event, document_type)| {
        let counts = match &event.data {
            EventData::Vaccination { vaccine, .. } => covid_19_only(vaccine, context),
            EventData::Identity { .. }
            | EventData::TestResult { .. }
            | EventData::ColourAssignment { .. }
            | EventData::Retraction { .. }
            | EventData::SessionEnd { .. }
            | EventData::Phone { .. }
            | EventData::Guardianship { .. }
            | EventData::Ward { .. } => Ok(()),
        };
        match counts {
            Ok(()) => Ok((StoredEvent::new(event, context.now), document_type)),
            // The first revision has no earlier one.
            Err(RowError::NotCounted(fact)) if event.revision > 0 => {
                let data = EventData::Retraction { event_id: event.id.clone(), why: NOT_COUNTED.to_owned() };
                let withdrawal = Some(Ok((StoredEvent::new(Event { data, ..event }, context.now), document_type)));
                Err(RowError::NotCounted(Box::new(NotCounted { withdrawal, ..*fact })))
            }
            Err(error) => Err(error),
        }
    });
    DecodedRow { id, event }
}

/// Vaccinations against other diseases are irrelevant to a health code.
pub(super) fn covid_19_only(cvx: &str, context: Context<'_>) -> Result<(), RowError> {
    let is_covid_19 = context.rules.vaccination.covid_19.contains(cvx);
    is_covid_19.then_some(()).ok_or_else(|| RowError::not_counted("not a COVID-19 vaccine (by its CVX code)"))
}

/// The subject's checked document, and the errors of its fields.
fn document(value: Option<&Value>, context: Context<'_>) -> (Option<Document>, Vec<FieldError>) {
    let mut subject = Fields::new(value, "/subject");
    let document = document_in(&mut subject, "document_type", "document_number", context);
    (document, subject.finish())
}

/// The checked document in two fields. The agency in a `local` number must be the sender.
fn document_in(
    fields: &mut Fields<'_>,
    type_field: &'static str,
    number_field: &'static str,
    context: Context<'_>,
) -> Option<Document> {
    let kind = fields.one_of(type_field, &DocumentType::ALL.map(|t| (t.as_str(), t)));
    let number = fields.required(number_field, "expected a text", Value::as_str);
    let (kind, number) = kind.zip(number)?;
    let expected = match Document::new(kind, number) {
        Ok(document) if !can_be_born(&document, context) => NUMBER.to_owned(),
        Ok(document) if document.local_agency().is_none_or(|agency| agency == context.agency) => return Some(document),
        Ok(_) => "expected a number of the token's own agency: agency/number".to_owned(),
        Err(error) => error.to_string(),
    };
    fields.reject(number_field, expected);
    None
}

/// Decodes the data of an event about the person with this document.
fn decode_data(
    kind: EventKind,
    data: &mut Fields<'_>,
    occurred_at: Option<Time>,
    document: Option<&Document>,
    context: Context<'_>,
) -> Option<EventData> {
    let born = document.and_then(Document::born);
    Some(match kind {
        EventKind::Identity => {
            let name = data.required("name", NAME, |v| v.as_str().and_then(masked_name));
            let birth_date = |v: &Value| v.as_str().and_then(date).filter(|date| is_birth_date(*date, context));
            let date_of_birth = data.maybe("born", BORN, birth_date);
            let stated = date_of_birth.flatten();
            if stated.is_some() && occurred_at.is_some_and(|at| implausible(kind, at, stated, context).is_some()) {
                data.reject("born", "expected a date of birth that is not after occurred_at");
            }
            let deceased_at = data.maybe("deceased_at", TIME, time);
            if let Some(at) = deceased_at.flatten() {
                if at > context.latest() {
                    data.reject("deceased_at", "expected a time that is not in the future");
                } else if let Some(expected) = implausible(kind, at, born.max(stated), context) {
                    data.reject("deceased_at", expected);
                }
            }
            let born = date_of_birth?.map(|date| date.to_string());
            EventData::Identity { name: name?, born, deceased_at: deceased_at? }
        }
        EventKind::TestResult => {
            let test = data.one_of("test", &TestKind::ALL.map(|test| (test.as_str(), test)));
            let result = data.one_of("result", &TestOutcome::ALL.map(|result| (result.as_str(), result)));
            EventData::TestResult { test: test?, result: result? }
        }
        EventKind::Vaccination => {
            let cvx = |v: &Value| v.as_str().filter(|c| is_cvx(c)).map(str::to_owned);
            let vaccine = data.required("vaccine", "expected a CVX code, such as \"208\"", cvx);
            let number = |v: &Value| v.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=20).contains(n));
            let dose = data.maybe("dose", "expected a whole number from 1 to 20", number);
            EventData::Vaccination { vaccine: vaccine?, dose: dose? }
        }
        EventKind::ColourAssignment => colour_assignment(data, occurred_at, context)?,
        EventKind::Retraction => {
            let id = |v: &Value| v.as_str().filter(|id| is_event_id(id)).map(str::to_owned);
            let event_id = data.required("event_id", EVENT_ID, id);
            let why = data.required("why", WHY, |v| plain_text(v.as_str()?, MAX_WHY_CHARS));
            EventData::Retraction { event_id: event_id?, why: why? }
        }
        EventKind::Guardianship => {
            let guardian = document_in(data, "guardian_document_type", "guardian_document_number", context);
            if guardian.is_some() && guardian.as_ref() == document {
                data.reject("guardian_document_number", "expected another person than the subject");
            }
            let change = GuardianshipChange::Started { until: until(data, occurred_at)? };
            EventData::Guardianship { guardian: context.pseudonyms.subject(&guardian?), change }
        }
        // Not one of the kinds that `decode` takes from an agency.
        EventKind::SessionEnd | EventKind::Phone | EventKind::Ward => return None,
    })
}

fn colour_assignment(data: &mut Fields<'_>, occurred_at: Option<Time>, context: Context<'_>) -> Option<EventData> {
    let colour = data.one_of("colour", &Colour::ASSIGNABLE.map(|colour| (colour.as_str(), colour)));
    let reasons: Vec<_> =
        context.rules.assignment_reasons.iter().map(|(name, may_give)| (name.as_str(), (name, may_give))).collect();
    let reason = data.one_of("reason", &reasons);
    if let (Some(colour), Some((name, may_give))) = (colour, reason)
        && !may_give.contains(&colour)
    {
        let names: Vec<_> = may_give.iter().map(|c| c.as_str()).collect();
        data.reject("colour", format!("the reason {name} gives only {}", names.join(" or ")));
    }
    let until = until(data, occurred_at);
    Some(EventData::ColourAssignment { colour: colour?, reason: reason?.0.clone(), until: until? })
}

/// The end of what begins at `occurred_at`, if it has one.
fn until(data: &mut Fields<'_>, occurred_at: Option<Time>) -> Option<Option<Time>> {
    let until = data.maybe("until", TIME, time);
    if let (Some(from), Some(Some(until))) = (occurred_at, until)
        && until <= from
    {
        data.reject("until", "expected a time after occurred_at");
    }
    until
}

fn time(value: &Value) -> Option<Time> {
    value.as_str()?.parse().ok()
}

fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

fn is_cvx(code: &str) -> bool {
    (1..=4).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit())
}
