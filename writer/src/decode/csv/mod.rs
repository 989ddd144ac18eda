//! Events as CSV (RFC 4180): a header, then one event a record. A record is turned into the equivalent JSON event.

mod rfc4180;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use yima_schema::limits::{MAX_EVENT_BYTES, MAX_ROWS};
use yima_schema::problem::{FieldError, Problem, ProblemType};

use self::rfc4180::{Records, values};
use super::upload::too_many_rows;
use super::{Context, DecodedRow, RawRow, RowError, json, too_long};

/// A column: a field of the JSON event.
pub(super) struct Column {
    /// Its name, which is also the name of the field.
    pub(super) name: &'static str,
    /// The object that has the field.
    pub(super) place: Place,
    /// Whether its values are whole numbers; others are texts.
    pub(super) is_number: bool,
    /// Whether every file must have it.
    is_required: bool,
}

/// An object of the JSON event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    /// The event itself.
    Event,
    /// Its `subject`.
    Subject,
    /// Its `data`.
    Data,
}

impl Column {
    const fn required(name: &'static str, place: Place) -> Self {
        Self { name, place, is_number: false, is_required: true }
    }

    const fn text(name: &'static str, place: Place) -> Self {
        Self { name, place, is_number: false, is_required: false }
    }

    const fn number(name: &'static str, place: Place) -> Self {
        Self { name, place, is_number: true, is_required: false }
    }
}

/// Every field of every event kind, in the order in which errors list them. A test compares them with the fields that
/// JSON events have.
pub(super) static COLUMNS: [Column; 21] = [
    Column::required("id", Place::Event),
    Column::required("kind", Place::Event),
    Column::required("document_type", Place::Subject),
    Column::required("document_number", Place::Subject),
    Column::required("occurred_at", Place::Event),
    Column::number("revision", Place::Event),
    Column::text("test", Place::Data),
    Column::text("result", Place::Data),
    Column::text("name", Place::Data),
    Column::text("born", Place::Data),
    Column::text("deceased_at", Place::Data),
    Column::text("vaccine", Place::Data),
    Column::number("dose", Place::Data),
    Column::text("colour", Place::Data),
    Column::text("reason", Place::Data),
    Column::text("until", Place::Data),
    Column::text("event_id", Place::Data),
    Column::text("why", Place::Data),
    Column::text("guardian_document_type", Place::Data),
    Column::text("guardian_document_number", Place::Data),
    Column::text("agency", Place::Event),
];

/// The columns of a file, in its order.
type Header = Vec<&'static Column>;

/// A record with its quotes, and the columns that its values belong to.
pub struct Record {
    header: Arc<Header>,
    text: Bytes,
}

/// Splits a file into records, each with the number of its first line; skips empty records.
///
/// # Errors
/// 400 for an error in the header or the quoting, 413 over [`MAX_ROWS`] records.
pub(super) fn records(body: &Bytes) -> Result<Vec<(usize, RawRow)>, Problem> {
    // Spreadsheets begin a UTF-8 file with a byte order mark.
    let mut lines = Records::new(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let (_, first) = lines.next().unwrap_or(Ok((1, b"")))?;
    let header = Arc::new(header(utf8(first)?)?);
    let mut records = Vec::new();
    for record in lines {
        let (line, text) = record?;
        // A spreadsheet also writes its empty rows.
        if utf8(text).is_ok_and(|text| values(text).all(|value| value.trim().is_empty())) {
            continue;
        }
        if records.len() == MAX_ROWS {
            return Err(too_many_rows());
        }
        records.push((line, RawRow::Record(Record { header: header.clone(), text: body.slice_ref(text) })));
    }
    Ok(records)
}

fn utf8(text: &[u8]) -> Result<&str, Problem> {
    let expected = "Expected UTF-8; a spreadsheet program calls it \"CSV UTF-8\"";
    std::str::from_utf8(text).map_err(|_| Problem::new(ProblemType::Malformed, expected))
}

fn header(line: &str) -> Result<Header, Problem> {
    let known = COLUMNS.each_ref().map(|column| column.name).join(", ");
    let names: Vec<_> = values(line).take(COLUMNS.len() + 1).collect();
    // A body that is not CSV at all could have a million columns, each with an error.
    if names.len() > COLUMNS.len() {
        let detail = format!("expected at most {} columns in the first line, each one of {known}", COLUMNS.len());
        return Err(Problem::invalid(vec![FieldError::new("", detail)]));
    }
    let mut errors = Vec::new();
    let mut header = Header::new();
    for (at, name) in names.iter().enumerate() {
        match COLUMNS.iter().find(|column| column.name == name.trim()) {
            Some(column) if header.iter().any(|other| other.name == column.name) => {
                errors.push(FieldError::new(format!("/{}", column.name), "expected this column once"));
            }
            Some(column) => header.push(column),
            None => {
                let detail =
                    format!("column {} of the first line: expected one of {known}, separated by commas", at + 1);
                errors.push(FieldError::new("", detail));
            }
        }
    }
    for Column { name, .. } in COLUMNS.iter().filter(|column| column.is_required) {
        if !header.iter().any(|column| column.name == *name) {
            errors.push(FieldError::new(format!("/{name}"), "expected this column in the first line"));
        }
    }
    if errors.is_empty() { Ok(header) } else { Err(Problem::invalid(errors)) }
}

impl Record {
    /// Decodes the record; the pointer of an error names the column.
    pub(super) fn decode(&self, context: Context<'_>) -> DecodedRow {
        if self.text.len() > MAX_EVENT_BYTES {
            return DecodedRow::rejected(too_long());
        }
        let text = match utf8(&self.text) {
            Ok(text) => text,
            Err(problem) => return DecodedRow::rejected(problem),
        };
        let values: Vec<_> = values(text).collect();
        if values.len() != self.header.len() {
            let expected = format!("expected {} fields, as the first line has", self.header.len());
            return DecodedRow::rejected(Problem::invalid(vec![FieldError::new("", expected)]));
        }
        let mut row = json::decode(&self.event(&values), context);
        if let Err(RowError::Rejected(problem)) = &mut row.event
            && problem.kind == ProblemType::Invalid
        {
            let column = |pointer: &str| {
                let field = pointer.strip_prefix("/data").or(pointer.strip_prefix("/subject"));
                field.unwrap_or(pointer).to_owned()
            };
            let errors = problem.errors.iter().map(|e| FieldError::new(column(&e.pointer), e.detail.clone()));
            *problem = Problem::invalid(errors.collect());
        }
        row
    }

    /// The equivalent JSON event. An empty value is a missing field.
    fn event(&self, values: &[Cow<'_, str>]) -> Value {
        let (mut event, mut subject, mut data) = (Map::new(), Map::new(), Map::new());
        let texts = values.iter().map(|value| value.trim());
        for (column, text) in self.header.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            let object = match column.place {
                Place::Event => &mut event,
                Place::Subject => &mut subject,
                Place::Data => &mut data,
            };
            let number = if column.is_number { text.parse::<u64>().ok() } else { None };
            object.insert(column.name.to_owned(), number.map_or_else(|| text.into(), Value::from));
        }
        event.insert("subject".into(), subject.into());
        event.insert("data".into(), data.into());
        Value::Object(event)
    }
}
