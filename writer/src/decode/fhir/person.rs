//! The person of a resource: by an identity document if the resource names one, else by the agency's own number.

use std::collections::HashMap;

use serde_json::Value;
use yima_schema::subject::{Document, DocumentType};

use super::terminology::document_type;
use super::{Context, RowError, invalid, is_id, text};

/// The person that a Patient stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Person {
    /// A person with an identity document.
    Known(Document),
    /// A person known only by the sender's own id of the Patient.
    Local(String),
}

/// The persons of a Bundle's Patients, by the references to them: `fullUrl` and `Patient/<id>`; `None` if a reference
/// is ambiguous. Empty outside a Bundle.
pub type References = HashMap<String, Option<Person>>;

impl Person {
    /// The person of a Patient, by its `identifier`s: the first of the first type in the order of
    /// [`DocumentType::ALL`].
    ///
    /// # Errors
    /// A number that does not fit its system.
    pub(super) fn of_patient(id: &str, identifiers: Option<&Value>) -> Result<Self, RowError> {
        let list = identifiers.map(|list| list.as_array().ok_or_else(|| invalid("/identifier", "expected a list")));
        let list = list.transpose()?.into_iter().flatten().enumerate();
        let known = list.filter_map(|(n, identifier)| document(identifier, &format!("/identifier/{n}")).transpose());
        let known: Vec<_> = known.collect::<Result<_, _>>()?;
        let first = known.into_iter().min_by_key(|document| document.kind() as u8);
        Ok(first.map_or_else(|| Self::Local(id.to_owned()), Self::Known))
    }

    /// The person that `element` refers to.
    pub(super) fn referred(resource: &Value, element: &str, references: &References) -> Result<Self, RowError> {
        let logical = format!("{element}/identifier");
        if let Some(identifier) = resource.pointer(&logical)
            && let Some(document) = document(identifier, &logical)?
        {
            return Ok(Self::Known(document));
        }
        let pointer = format!("{element}/reference");
        let reference = text(resource, &pointer).map(|r| r.split_once("/_history/").map_or(r, |(r, _)| r));
        if let Some(person) = reference.and_then(|reference| references.get(reference)) {
            return person.clone().ok_or_else(|| {
                invalid(&pointer, "expected a reference to one Patient in the Bundle, whose identifiers are in order")
            });
        }
        let id = reference.and_then(|reference| reference.strip_prefix("Patient/")).filter(|id| is_id(id));
        id.map(|id| Self::Local(id.to_owned())).ok_or_else(|| {
            invalid(
                &pointer,
                "expected Patient/id, the fullUrl of a Patient in the same Bundle, or beside it an identifier \
                 of a known system",
            )
        })
    }

    /// The document that identifies the person here.
    pub(super) fn document(self, context: Context<'_>) -> Result<Document, RowError> {
        match self {
            Self::Known(document) => Ok(document),
            Self::Local(id) => Document::new(DocumentType::Local, &format!("{}/{id}", context.agency))
                .map_err(|expected| invalid("/id", expected.to_string())),
        }
    }
}

/// The identity document of an Identifier, if its system is one of documents and its use is not `old`.
fn document(identifier: &Value, pointer: &str) -> Result<Option<Document>, RowError> {
    let Some(kind) = text(identifier, "/system").and_then(document_type) else { return Ok(None) };
    if text(identifier, "/use") == Some("old") {
        return Ok(None);
    }
    let pointer = format!("{pointer}/value");
    let number = text(identifier, "/value").ok_or_else(|| invalid(&pointer, "expected the number of the document"))?;
    Document::new(kind, number).map(Some).map_err(|expected| invalid(&pointer, expected.to_string()))
}
