//! Splits a body into rows, by its media type.

use bytes::Bytes;
use yima_schema::limits::MAX_ROWS;
use yima_schema::problem::{Problem, ProblemType};

use super::fhir::{Bundle, BundleType};
use super::{RawRow, csv};

/// A media type of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaType {
    /// One event.
    Json,
    /// One event a line.
    Ndjson,
    /// A header and one event a record.
    Csv,
    /// A FHIR resource or Bundle.
    FhirJson,
    /// One FHIR resource a line.
    FhirNdjson,
}

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Ndjson, Self::Csv, Self::FhirJson, Self::FhirNdjson];

    /// As in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::FhirJson => "application/fhir+json",
            Self::FhirNdjson => "application/fhir+ndjson",
        }
    }
}

/// The form of an upload: whether its rows are taken together, and how it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UploadForm {
    /// One event.
    Event,
    /// Many rows, each by itself.
    Rows,
    /// One FHIR resource.
    Resource,
    /// A FHIR batch, message, collection or document: each entry by itself.
    Batch,
    /// A FHIR transaction: all entries or none.
    Transaction,
}

/// A body, split into rows.
pub struct Upload {
    /// Its form.
    pub form: UploadForm,
    /// Its rows, never empty, each with its number: of its line, or of its entry, from 1.
    pub rows: Vec<(usize, RawRow)>,
}

impl Upload {
    /// One event: needs no splitting.
    pub fn event(body: Bytes) -> Self {
        Self { form: UploadForm::Event, rows: vec![(1, RawRow::Event(body))] }
    }

    /// Splits a body. Rows are slices of the body, not copies. Reads the whole body: up to tens of milliseconds.
    ///
    /// # Errors
    /// 400 for a body that has no rows or cannot be split, 413 for too many rows.
    pub fn split(media_type: MediaType, body: Bytes) -> Result<Self, Problem> {
        let rows = match media_type {
            MediaType::Json => return Ok(Self::event(body)),
            MediaType::FhirJson => return Self::fhir(body),
            MediaType::Ndjson => lines(&body, RawRow::Event)?,
            MediaType::FhirNdjson => lines(&body, RawRow::Fhir)?,
            MediaType::Csv => csv::records(&body)?,
        };
        if rows.is_empty() {
            let expected = "Expected one JSON document a line, or CSV with a header and at least one record";
            return Err(Problem::new(ProblemType::Malformed, expected));
        }
        Ok(Self { form: UploadForm::Rows, rows })
    }

    fn fhir(body: Bytes) -> Result<Self, Problem> {
        let Some(Bundle { kind, entries }) = Bundle::read(&body)? else {
            return Ok(Self { form: UploadForm::Resource, rows: vec![(1, RawRow::Fhir(body))] });
        };
        if entries.is_empty() {
            return Err(Problem::new(ProblemType::Invalid, "Expected a Bundle with at least one entry"));
        }
        let form = match kind {
            BundleType::Batch | BundleType::Message | BundleType::Collection | BundleType::Document => {
                UploadForm::Batch
            }
            BundleType::Transaction => UploadForm::Transaction,
        };
        Ok(Self { form, rows: (1..).zip(entries).collect() })
    }
}

/// The lines of a body that are not blank, with their numbers from 1.
fn lines(body: &Bytes, row: impl Fn(Bytes) -> RawRow) -> Result<Vec<(usize, RawRow)>, Problem> {
    // The lines are counted before rows are made of them: a line can be two bytes, a row is many.
    let without_last_end = body.strip_suffix(b"\n").unwrap_or(body);
    if without_last_end.iter().filter(|b| **b == b'\n').count() >= MAX_ROWS {
        return Err(too_many_rows());
    }
    let lines = (1..).zip(body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii));
    Ok(lines.filter(|(_, line)| !line.is_empty()).map(|(n, line)| (n, row(body.slice_ref(line)))).collect())
}

/// The problem of a body with more than [`MAX_ROWS`] rows.
pub(super) fn too_many_rows() -> Problem {
    Problem::new(ProblemType::TooLarge, format!("A body may have up to {MAX_ROWS} rows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_of_lines_is_accepted_with_and_without_a_final_newline() {
        let (most, body) = ("1\n".repeat(MAX_ROWS), |rows: &str| Bytes::copy_from_slice(rows.as_bytes()));
        for rows in [most.as_str(), most.trim_end()] {
            assert_eq!(lines(&body(rows), RawRow::Event).ok().unwrap().len(), MAX_ROWS);
        }
        assert!(lines(&body(&format!("{most}1")), RawRow::Event).is_err());
        let counted = lines(&body("1\n\n 2 \r\n3"), RawRow::Event).ok().unwrap();
        assert_eq!(counted.into_iter().map(|(n, _)| n).collect::<Vec<_>>(), [1, 3, 4]);
    }
}
