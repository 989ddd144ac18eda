//! Whom a resource is about: a person by an identity document where the resource names one, else by the agency's own number.

use std::collections::HashMap;

use serde_json::Value;
use yima_schema::subject::{Document, DocumentType};

use super::terminology::document_type;
use super::{Context, RowError, fault, is_id, text};

/// Whom a Patient stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Person {
    /// Somebody with an identity document.
    Known(Document),
    /// Only the sender's own id of the Patient is known.
    Local(String),
}

/// Whom the references to the Patients of a bundle stand for, by `fullUrl` and by `Patient/<id>`; `None` if that is not clear. Empty
/// outside a bundle.
pub type References = HashMap<String, Option<Person>>;

impl Person {
    /// A Patient, by its `identifier`s: the first of the first type in the order of [`DocumentType::ALL`].
    ///
    /// # Errors
    /// A number that its system does not have.
    pub(super) fn of_patient(id: &str, identifiers: Option<&Value>) -> Result<Self, RowError> {
        let list = identifiers.map(|list| list.as_array().ok_or_else(|| fault("/identifier", "expected a list")));
        let list = list.transpose()?.into_iter().flatten().enumerate();
        let known = list.filter_map(|(n, one)| document(one, &format!("/identifier/{n}")).transpose());
        let known: Vec<_> = known.collect::<Result<_, _>>()?;
        let first = known.into_iter().min_by_key(|document| document.kind() as u8);
        Ok(first.map_or_else(|| Self::Local(id.to_owned()), Self::Known))
    }

    /// Who is referred to in `element`.
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
                fault(&pointer, "expected a reference to one Patient in the Bundle, whose identifiers are in order")
            });
        }
        let id = reference.and_then(|reference| reference.strip_prefix("Patient/")).filter(|id| is_id(id));
        id.map(|id| Self::Local(id.to_owned())).ok_or_else(|| {
            fault(
                &pointer,
                "expected Patient/id, the fullUrl of a Patient in the same Bundle, or beside it an identifier of a known system",
            )
        })
    }

    /// The document that the person is known by here.
    pub(super) fn document(self, context: Context<'_>) -> Result<Document, RowError> {
        match self {
            Self::Known(document) => Ok(document),
            Self::Local(id) => Document::new(DocumentType::Local, &format!("{}/{id}", context.agency))
                .map_err(|expected| fault("/id", expected.to_string())),
        }
    }
}

/// The identity document that an Identifier is the number of, if its system is one of documents and it is not an old one.
fn document(identifier: &Value, pointer: &str) -> Result<Option<Document>, RowError> {
    let Some(kind) = text(identifier, "/system").and_then(document_type) else { return Ok(None) };
    if text(identifier, "/use") == Some("old") {
        return Ok(None);
    }
    let pointer = format!("{pointer}/value");
    let number = text(identifier, "/value").ok_or_else(|| fault(&pointer, "expected the number of the document"))?;
    Document::new(kind, number).map(Some).map_err(|expected| fault(&pointer, expected.to_string()))
}
