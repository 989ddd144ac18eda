//! The body of a scan: a code, or the identity document of a citizen without one.

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use yima_schema::problem::{FieldError, Problem};
use yima_schema::subject::{Document, DocumentType};

/// Either a code or a document. The problem of any other combination names the fields that are missing or too many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanRequest {
    code: Option<String>,
    document_type: Option<DocumentType>,
    document_number: Option<String>,
}

/// A valid scan request.
pub enum Scanned {
    /// By the code on a phone.
    Code(String),
    /// By an identity document.
    Document(Document),
}

impl ScanRequest {
    /// What is to be scanned.
    ///
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

impl PartialSchema for ScanRequest {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(kind);
        let only = |request: ObjectBuilder| request.additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let code = of(Type::Object).property("code", of(Type::String)).required("code");
        let code = code.property("document_type", of(Type::Null)).property("document_number", of(Type::Null));
        let document = of(Type::Object).property("code", of(Type::Null));
        let document = document.property("document_type", DocumentType::schema()).required("document_type");
        let number = of(Type::String).min_length(Some(1));
        let document = document.property("document_number", number).required("document_number");
        let either = OneOfBuilder::new().item(only(code)).item(only(document));
        either.description(Some("Either a code or a document")).into()
    }
}

impl ToSchema for ScanRequest {}
