//! From bytes to events: [`upload`] splits a body into rows, and each row decodes to one event or to the reason why it
//! is none.

pub mod codes;
pub mod csv;
pub mod fhir;
mod fields;
mod form;
mod json;
pub mod openapi;
mod plausibility;
#[cfg(test)]
mod tests;
pub mod upload;

use std::sync::Arc;

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde_json::Value;
use yima_schema::event::StoredEvent;
use yima_schema::limits::{MAX_CLOCK_SKEW, MAX_EVENT_BYTES};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::rules::Rules;
use yima_schema::subject::{DocumentType, PseudonymKey, SubjectId};
use yima_schema::time::Time;
use yima_service::http::body;

use self::codes::Codes;
pub use self::form::{Field, RowForm};

/// Why a fact is taken back whose newest version does not count.
const NOT_COUNTED: &str = "corrected to what does not count";

/// The context in which a row is decoded.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The sending agency, by its token.
    pub agency: &'a str,
    /// When the row was received.
    pub now: Time,
    /// Turns documents into subjects.
    pub pseudonyms: &'a PseudonymKey,
    /// The closed lists of reasons and vaccines.
    pub rules: &'a Rules,
    /// The codes of tests and results.
    pub codes: &'a Codes,
    /// The time zone of FHIR dates without a time.
    pub zone: &'a TimeZone,
}

impl Context<'_> {
    /// The latest `occurred_at` that is accepted: senders' clocks may be a little ahead.
    fn latest(&self) -> Time {
        self.now.plus(MAX_CLOCK_SKEW)
    }
}

/// Why a row is no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowError {
    /// Understood, but irrelevant to a health code; the reason.
    Ignored(String),
    /// The same of a fact of which an earlier version may have counted.
    NotCounted(Box<NotCounted>),
    /// The row has errors.
    Rejected(Problem),
    /// The row states a result that is or may be positive, in a form that is not understood.
    UnreadPositive(Box<UnreadPositive>),
}

/// A fact that does not count. If an earlier version of it counted, that has to be taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotCounted {
    /// Why it does not count.
    pub reason: String,
    /// A retraction of the fact's own id, of this version; or why nobody can tell whose the fact is. `None`: there is
    /// no earlier version.
    pub withdrawal: Option<Result<(StoredEvent, DocumentType), Problem>>,
}

/// A subject, as it was found by a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Identified {
    /// The subject.
    pub subject: SubjectId,
    /// The document's number, masked.
    pub document: String,
    /// The document's type.
    pub document_type: DocumentType,
}

/// A result that is or may be positive and that is not understood.
#[derive(Clone, PartialEq, Eq)]
pub struct UnreadPositive {
    /// The element that is not understood.
    pub problem: Problem,
    /// The test's LOINC code, if it has one.
    pub code: Option<String>,
    /// The subject of the result.
    pub person: Identified,
    /// The whole row.
    pub resource: Bytes,
}

impl std::fmt::Debug for UnreadPositive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnreadPositive(redacted)")
    }
}

impl RowError {
    /// A fact that does not count.
    fn not_counted(reason: &str) -> Self {
        Self::NotCounted(Box::new(NotCounted { reason: reason.to_owned(), withdrawal: None }))
    }

    /// The error as a problem.
    fn into_problem(self) -> Problem {
        match self {
            Self::Ignored(reason) => Problem::new(ProblemType::Invalid, reason),
            Self::NotCounted(fact) => Problem::new(ProblemType::Invalid, fact.reason),
            Self::Rejected(problem) => problem,
            Self::UnreadPositive(unread) => unread.problem,
        }
    }

    /// The problem of a row with errors.
    fn problem_mut(&mut self) -> Option<&mut Problem> {
        match self {
            Self::Ignored(_) => None,
            Self::NotCounted(fact) => fact.withdrawal.as_mut().and_then(|withdrawal| withdrawal.as_mut().err()),
            Self::Rejected(problem) => Some(problem),
            Self::UnreadPositive(unread) => Some(&mut unread.problem),
        }
    }
}

/// A decoded row.
pub struct DecodedRow {
    /// The sender's id of the event, if it could be read.
    pub id: Option<String>,
    /// The event with the type of its subject's document, or why there is none.
    pub event: Result<(StoredEvent, DocumentType), RowError>,
}

impl DecodedRow {
    /// A row whose id could not be read.
    fn rejected(problem: Problem) -> Self {
        Self { id: None, event: Err(RowError::Rejected(problem)) }
    }
}

/// A row as it was sent.
pub enum RawRow {
    /// yima's own event as JSON.
    Event(Bytes),
    /// A FHIR R4 resource.
    Fhir(Bytes),
    /// A FHIR R4 resource in an entry of a Bundle.
    Entry {
        /// The resource's JSON.
        resource: Bytes,
        /// The Patients that references in the Bundle point to.
        references: Arc<fhir::References>,
    },
    /// A FHIR R4 resource that was kept as a dead letter. It is not kept again if it is still not understood.
    Kept {
        /// The resource's JSON.
        resource: Bytes,
        /// Its subject.
        person: Identified,
    },
    /// A record of a CSV file.
    Record(csv::Record),
    /// A row that was rejected when the body was split.
    Rejected(Problem),
}

impl RawRow {
    /// Its form.
    pub fn form(&self) -> RowForm {
        match self {
            Self::Event(_) => RowForm::Event,
            Self::Fhir(_) | Self::Kept { .. } => RowForm::Resource,
            Self::Entry { .. } | Self::Rejected(_) => RowForm::BundleEntry,
            Self::Record(_) => RowForm::Record,
        }
    }

    /// Decodes the row.
    pub fn decode(self, context: Context<'_>) -> DecodedRow {
        match self {
            Self::Event(text) => decode_json(&text, |value| json::decode(value, context)),
            Self::Fhir(text) => decode_fhir(text, &fhir::References::default(), context),
            Self::Kept { resource, person } => {
                let mut row = decode_fhir(resource, &fhir::References::kept(person), context);
                if let Err(RowError::UnreadPositive(unread)) = row.event {
                    row.event = Err(RowError::Rejected(unread.problem));
                }
                row
            }
            Self::Entry { resource, references } => {
                let mut row = decode_fhir(resource, &references, context);
                if let Some(problem) = row.event.as_mut().err().and_then(RowError::problem_mut) {
                    for error in &mut problem.errors {
                        error.pointer.insert_str(0, "/resource");
                    }
                }
                row
            }
            Self::Record(record) => record.decode(context),
            Self::Rejected(problem) => DecodedRow::rejected(problem),
        }
    }
}

fn decode_fhir(text: Bytes, references: &fhir::References, context: Context<'_>) -> DecodedRow {
    let mut row = decode_json(&text, |value| fhir::decode(value, references, context));
    if let Err(RowError::UnreadPositive(unread)) = &mut row.event {
        unread.resource = text;
    }
    row
}

fn decode_json(text: &[u8], decode: impl FnOnce(&Value) -> DecodedRow) -> DecodedRow {
    if text.len() > MAX_EVENT_BYTES {
        return DecodedRow::rejected(too_long());
    }
    match body::value(text) {
        Ok(value) => decode(&value),
        Err(problem) => DecodedRow::rejected(problem),
    }
}

fn too_long() -> Problem {
    Problem::new(ProblemType::TooLarge, format!("expected an event of at most {MAX_EVENT_BYTES} bytes"))
}
