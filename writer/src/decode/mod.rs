//! From bytes to events: [`upload`] splits a body into rows, and each row decodes to one event or to the reason why it
//! is none.

pub mod csv;
pub mod fhir;
mod fields;
mod json;
pub mod openapi;
mod plausibility;
#[cfg(test)]
mod tests;
pub mod upload;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use yima_schema::event::StoredEvent;
use yima_schema::limits::{MAX_CLOCK_SKEW, MAX_EVENT_BYTES};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::http::body;

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
    /// Offset of FHIR dates without a time, in minutes east of UTC.
    pub date_offset_minutes: i16,
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
    /// The row has errors.
    Rejected(Problem),
}

/// A decoded row.
pub struct DecodedRow {
    /// The sender's id of the event, if it could be read.
    pub id: Option<String>,
    /// The event, or why there is none.
    pub event: Result<StoredEvent, RowError>,
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
    /// A record of a CSV file.
    Record(csv::Record),
    /// A row that was rejected when the body was split.
    Rejected(Problem),
}

impl RawRow {
    /// Decodes the row.
    pub fn decode(self, context: Context<'_>) -> DecodedRow {
        match self {
            Self::Event(text) => decode_json(&text, |value| json::decode(value, context)),
            Self::Fhir(text) => decode_json(&text, |value| fhir::decode(value, &fhir::References::new(), context)),
            Self::Entry { resource, references } => {
                let mut row = decode_json(&resource, |value| fhir::decode(value, &references, context));
                if let Err(RowError::Rejected(problem)) = &mut row.event {
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
