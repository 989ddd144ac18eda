//! From what an agency sends to events: one row in, one event or a reason why not out.

pub mod csv;
pub mod fhir;
mod fields;
mod json;
mod rfc4180;
pub mod shape;
#[cfg(test)]
mod tests;

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

/// What reading a row needs to know.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The agency that sends, by its token.
    pub agency: &'a str,
    /// When it was received.
    pub now: Time,
    /// Turns documents into subjects.
    pub pseudonyms: &'a PseudonymKey,
    /// The closed lists.
    pub rules: &'a Rules,
    /// How far east of UTC a FHIR date without a time is meant, in minutes.
    pub date_offset_minutes: i16,
}

impl Context<'_> {
    /// The latest `occurred_at` that can be true: senders' clocks may be a little ahead.
    fn latest(&self) -> Time {
        self.now.plus(MAX_CLOCK_SKEW)
    }
}

/// Why a row becomes no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowError {
    /// Understood, and no business of a health code; says why.
    Ignored(String),
    /// At fault.
    Rejected(Problem),
}

/// A row as read.
pub struct Row {
    /// The sender's id of it, where one could be read.
    pub id: Option<String>,
    /// The event, or why there is none.
    pub event: Result<StoredEvent, RowError>,
}

/// A row as it came.
pub enum Input {
    /// yima's own event.
    Event(Bytes),
    /// A FHIR R4 resource.
    Fhir(Bytes),
    /// A FHIR R4 resource in an entry of a bundle.
    Entry {
        /// Its JSON.
        resource: Bytes,
        /// What the URLs in the bundle stand for.
        references: Arc<fhir::References>,
    },
    /// A record of a CSV file.
    Record(csv::Record),
    /// Found to be at fault already.
    Read(Row),
}

impl Input {
    /// Reads it as an event.
    pub fn read(self, context: Context<'_>) -> Row {
        match self {
            Self::Event(text) => read_json(&text, |value| json::read(value, context)),
            Self::Fhir(text) => read_json(&text, |value| fhir::read(value, &fhir::References::new(), context)),
            Self::Entry { resource, references } => {
                let mut row = read_json(&resource, |value| fhir::read(value, &references, context));
                if let Err(RowError::Rejected(problem)) = &mut row.event {
                    for error in &mut problem.errors {
                        error.pointer.insert_str(0, "/resource");
                    }
                }
                row
            }
            Self::Record(record) => record.read(context),
            Self::Read(row) => row,
        }
    }
}

fn read_json(text: &[u8], read: impl FnOnce(&Value) -> Row) -> Row {
    if text.len() > MAX_EVENT_BYTES {
        let detail = format!("expected an event of at most {MAX_EVENT_BYTES} bytes");
        return Row { id: None, event: Err(RowError::Rejected(Problem::new(ProblemType::TooLarge, detail))) };
    }
    match serde_json::from_slice(text) {
        Ok(value) => read(&value),
        Err(fault) => Row { id: None, event: Err(RowError::Rejected(body::malformed(&fault))) },
    }
}
