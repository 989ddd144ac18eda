//! From what an agency sends to events: one row in, one event or a reason why not out.

mod fhir;
mod fields;
mod json;
#[cfg(test)]
mod tests;

use serde_json::Value;
use yima_schema::event::StoredEvent;
use yima_schema::limits::{MAX_CLOCK_SKEW, MAX_EVENT_BYTES};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::Time;
use yima_service::http::body;

/// What a row is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// yima's own event.
    Event,
    /// A FHIR R4 resource.
    Fhir,
}

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
}

impl Context<'_> {
    /// The latest `occurred_at` that can be true: senders' clocks may be a little ahead.
    fn latest(&self) -> Time {
        self.now.plus(MAX_CLOCK_SKEW)
    }
}

/// Why a row becomes no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotTaken {
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
    pub event: Result<StoredEvent, NotTaken>,
}

/// Reads one row.
pub fn read(text: &[u8], dialect: Dialect, context: Context<'_>) -> Row {
    if text.len() > MAX_EVENT_BYTES {
        let detail = format!("expected an event of at most {MAX_EVENT_BYTES} bytes");
        return Row { id: None, event: Err(NotTaken::Rejected(Problem::new(ProblemType::TooLarge, detail))) };
    }
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(fault) => return Row { id: None, event: Err(NotTaken::Rejected(body::malformed(&fault))) },
    };
    match dialect {
        Dialect::Event => json::read(&value, context),
        Dialect::Fhir => fhir::read(&value, context),
    }
}
