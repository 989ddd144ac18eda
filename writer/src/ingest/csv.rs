//! Events as CSV (RFC 4180): a header, then one event a record. A record becomes the JSON event that it stands for.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use yima_schema::limits::{MAX_EVENT_BYTES, MAX_ROWS};
use yima_schema::problem::{FieldError, Problem, ProblemType};

use super::rfc4180::{Records, values};
use super::{Context, Input, Row, RowError, json};

/// Every column, and where in an event its value belongs. The first five have to be there.
const COLUMNS: [(&str, Place); 19] = [
    ("id", Place::Event),
    ("kind", Place::Event),
    ("document_type", Place::Subject),
    ("document_number", Place::Subject),
    ("occurred_at", Place::Event),
    ("revision", Place::Event),
    ("test", Place::Data),
    ("result", Place::Data),
    ("name", Place::Data),
    ("born", Place::Data),
    ("deceased_at", Place::Data),
    ("vaccine", Place::Data),
    ("dose", Place::Data),
    ("colour", Place::Data),
    ("reason", Place::Data),
    ("until", Place::Data),
    ("event_id", Place::Data),
    ("why", Place::Data),
    ("agency", Place::Event),
];
const REQUIRED: usize = 5;
/// Whole numbers; all other values are texts.
const NUMBERS: [&str; 2] = ["revision", "dose"];

#[derive(Clone, Copy)]
enum Place {
    Event,
    Subject,
    Data,
}

/// The columns of a file, in its order.
type Header = Vec<(&'static str, Place)>;

/// A record, quotes and all, and the columns that it has values for.
pub struct Record {
    header: Arc<Header>,
    text: Bytes,
}

/// Reads a file into its records, each with the number of the line that it begins on; empty ones are skipped.
///
/// # Errors
/// 400 when the header or the quoting is at fault, 413 over [`MAX_ROWS`] records.
pub fn records(body: &Bytes) -> Result<Vec<(usize, Input)>, Problem> {
    // Spreadsheets begin a UTF-8 file with a byte order mark.
    let mut found = Records::of(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let (_, first) = found.next().unwrap_or(Ok((1, b"")))?;
    let header = Arc::new(header(utf8(first)?)?);
    let mut records = Vec::new();
    for record in found {
        let (line, text) = record?;
        // A spreadsheet writes its empty rows too.
        if utf8(text).is_ok_and(|text| values(text).all(|value| value.trim().is_empty())) {
            continue;
        }
        if records.len() == MAX_ROWS {
            return Err(Problem::new(ProblemType::TooLarge, format!("A body may have up to {MAX_ROWS} rows")));
        }
        records.push((line, Input::Record(Record { header: header.clone(), text: body.slice_ref(text) })));
    }
    Ok(records)
}

fn utf8(text: &[u8]) -> Result<&str, Problem> {
    let expected = "Expected UTF-8; a spreadsheet program calls it \"CSV UTF-8\"";
    std::str::from_utf8(text).map_err(|_| Problem::new(ProblemType::Malformed, expected))
}

fn header(line: &str) -> Result<Header, Problem> {
    let known = COLUMNS.map(|(name, _)| name).join(", ");
    let names: Vec<_> = values(line).take(COLUMNS.len() + 1).collect();
    // A file that is no CSV at all would be told a million columns.
    if names.len() > COLUMNS.len() {
        let detail = format!("expected at most {} columns in the first line, each one of {known}", COLUMNS.len());
        return Err(Problem::invalid(vec![FieldError::new("", detail)]));
    }
    let column = |name: &str| COLUMNS.iter().find(|(known, _)| *known == name).copied();
    let mut errors = Vec::new();
    let mut header = Header::new();
    for (at, name) in names.iter().enumerate() {
        match column(name.trim()) {
            Some((name, _)) if header.iter().any(|(other, _)| *other == name) => {
                errors.push(FieldError::new(format!("/{name}"), "expected this column once"));
            }
            Some(column) => header.push(column),
            None => {
                let detail =
                    format!("column {} of the first line: expected one of {known}, separated by commas", at + 1);
                errors.push(FieldError::new("", detail));
            }
        }
    }
    for (name, _) in &COLUMNS[..REQUIRED] {
        if !header.iter().any(|(there, _)| there == name) {
            errors.push(FieldError::new(format!("/{name}"), "expected this column in the first line"));
        }
    }
    if errors.is_empty() { Ok(header) } else { Err(Problem::invalid(errors)) }
}

impl Record {
    /// Reads the record; a fault's pointer names the column.
    pub(super) fn read(&self, context: Context<'_>) -> Row {
        let rejected = |problem| Row { id: None, event: Err(RowError::Rejected(problem)) };
        if self.text.len() > MAX_EVENT_BYTES {
            let detail = format!("expected an event of at most {MAX_EVENT_BYTES} bytes");
            return rejected(Problem::new(ProblemType::TooLarge, detail));
        }
        let text = match utf8(&self.text) {
            Ok(text) => text,
            Err(problem) => return rejected(problem),
        };
        let found: Vec<_> = values(text).collect();
        if found.len() != self.header.len() {
            let expected = format!("expected {} fields, as the first line has", self.header.len());
            return rejected(Problem::invalid(vec![FieldError::new("", expected)]));
        }
        let mut row = json::read(&self.event(&found), context);
        if let Err(RowError::Rejected(problem)) = &mut row.event
            && problem.kind == ProblemType::Invalid
        {
            let column = |pointer: &str| {
                let within = pointer.strip_prefix("/data").or(pointer.strip_prefix("/subject"));
                within.unwrap_or(pointer).to_owned()
            };
            let errors = problem.errors.iter().map(|e| FieldError::new(column(&e.pointer), e.detail.clone()));
            *problem = Problem::invalid(errors.collect());
        }
        row
    }

    fn event(&self, values: &[Cow<'_, str>]) -> Value {
        let (mut event, mut subject, mut data) = (Map::new(), Map::new(), Map::new());
        let texts = values.iter().map(|value| value.trim());
        for ((name, place), text) in self.header.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            let into = match place {
                Place::Event => &mut event,
                Place::Subject => &mut subject,
                Place::Data => &mut data,
            };
            let number = if NUMBERS.contains(name) { text.parse::<u64>().ok() } else { None };
            into.insert((*name).to_owned(), number.map_or_else(|| text.into(), Value::from));
        }
        event.insert("subject".into(), subject.into());
        event.insert("data".into(), data.into());
        Value::Object(event)
    }
}
