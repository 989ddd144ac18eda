//! What a checkpoint asks about: a code, or the identity document of somebody who has none with them.

use serde::Deserialize;
use utoipa::ToSchema;
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::{Document, DocumentType};

/// The body of a scan. One or the other; which fields are missing or too many is told by name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanRequest {
    code: Option<String>,
    document_type: Option<DocumentType>,
    document_number: Option<String>,
}

/// See the module.
pub(super) enum Asked {
    Code(String),
    Document(Document),
}

impl ScanRequest {
    /// # Errors
    /// [`yima_schema::problem::ProblemType::Invalid`], with the fields at fault.
    pub fn asked(self) -> Result<Asked, Problem> {
        let fault = |pointer: &str, detail: String| Problem::invalid(vec![FieldError::new(pointer, detail)]);
        let expected = |pointer: &str, what: &str| fault(pointer, format!("expected {what}"));
        match (self.code, self.document_type, self.document_number) {
            (Some(code), None, None) => Ok(Asked::Code(code)),
            (None, Some(kind), Some(number)) => {
                let document = Document::new(kind, &number);
                document.map(Asked::Document).map_err(|why| fault("/document_number", why.to_string()))
            }
            (None, None, None) => Err(expected("/code", "a code, or document_type and document_number instead of one")),
            (None, Some(_), None) => Err(expected("/document_number", "the number of the document")),
            (None, None, Some(_)) => Err(expected("/document_type", "the type of the document")),
            (Some(_), Some(_), _) | (Some(_), None, Some(_)) => Err(expected("/code", "no document beside a code")),
        }
    }
}
