//! The body of a scan: a code, or the identity document of a citizen without one.

use serde::Deserialize;
use utoipa::ToSchema;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::{Document, DocumentType};

/// Either a code or a document. The problem of any other combination names the fields that are missing or too many.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanRequest {
    code: Option<String>,
    document_type: Option<DocumentType>,
    document_number: Option<String>,
}

/// A valid scan request.
pub(super) enum Scanned {
    Code(String),
    Document(Document),
}

impl ScanRequest {
    /// # Errors
    /// [`yima_schema::problem::ProblemType::Invalid`] with the fields in error.
    pub fn validate(self) -> Result<Scanned, Problem> {
        let invalid = |pointer: &str, detail: String| Problem::invalid(vec![FieldError::new(pointer, detail)]);
        let expected = |pointer: &str, what: &str| invalid(pointer, format!("expected {what}"));
        match (self.code, self.document_type, self.document_number) {
            (Some(code), None, None) => Ok(Scanned::Code(code)),
            (None, Some(kind), Some(number)) => {
                let document = Document::new(kind, &number);
                document.map(Scanned::Document).map_err(|error| invalid("/document_number", error.to_string()))
            }
            (None, None, None) => Err(expected("/code", "a code, or document_type and document_number instead of one")),
            (None, Some(_), None) => Err(expected("/document_number", "the number of the document")),
            (None, None, Some(_)) => Err(expected("/document_type", "the type of the document")),
            (Some(_), Some(_), _) | (Some(_), None, Some(_)) => Err(expected("/code", "no document beside a code")),
        }
    }
}
