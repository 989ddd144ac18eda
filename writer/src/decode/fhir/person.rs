//! The person of a resource: by an identity document if the resource names one, else by the agency's own number.

use std::collections::HashMap;

use serde_json::Value;
use yima_schema::subject::{Document, DocumentType};

use super::terminology::document_type;
use super::{Context, Identified, RowError, invalid, is_id, text};

/// The person that a Patient stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The sender's own id of the Patient.
    id: Option<String>,
    /// The Patient's identity documents in the order of [`DocumentType::ALL`]: the first one is the subject's.
    documents: Vec<Document>,
    /// See [`References::kept`].
    kept: Option<Identified>,
}

/// What is known of the persons that a resource may refer to.
#[derive(Default)]
pub struct References {
    /// The persons of a Bundle's Patients, by the references to them: `fullUrl` and `Patient/<id>`; `None` if a
    /// reference is ambiguous. Empty outside a Bundle.
    patients: HashMap<String, Option<Person>>,
    /// The subject of a resource whose reference was resolved when it was received.
    kept: Option<Identified>,
}

impl References {
    /// Of a Bundle.
    pub(super) fn of_patients(patients: HashMap<String, Option<Person>>) -> Self {
        Self { patients, kept: None }
    }

    /// Of a resource that was kept.
    pub fn kept(person: Identified) -> Self {
        Self { patients: HashMap::new(), kept: Some(person) }
    }
}

impl Person {
    /// The person of a Patient, by its `identifier`s; of the documents of one type the first one in the list decides.
    ///
    /// # Errors
    /// A number that does not fit its system; two numbers where one person has one.
    pub(super) fn of_patient(id: Option<&str>, identifiers: Option<&Value>) -> Result<Self, RowError> {
        let list = identifiers.map(|list| list.as_array().ok_or_else(|| invalid("/identifier", "expected a list")));
        let mut known: Vec<(&str, Document)> = Vec::new();
        for (n, identifier) in list.transpose()?.into_iter().flatten().enumerate() {
            let pointer = format!("/identifier/{n}");
            let Some(document) = document(identifier, &pointer)? else { continue };
            let system = text(identifier, "/system").unwrap_or_default();
            let excludes = |(other_system, other): &(&str, Document)| {
                let has_one_number = document.kind() == DocumentType::CnResidentId && document.kind() == other.kind();
                (has_one_number || *other_system == system) && *other != document
            };
            if known.iter().any(excludes) {
                let expected = "expected one number of this system: two name two persons, unless one has the use old";
                return Err(invalid(&format!("{pointer}/value"), expected));
            }
            known.push((system, document));
        }
        known.sort_by_key(|(_, document)| document.kind() as u8);
        let documents = known.into_iter().map(|(_, document)| document).collect();
        Ok(Self { id: id.map(str::to_owned), documents, kept: None })
    }

    /// The person that `element` refers to.
    pub(super) fn referred(resource: &Value, element: &str, references: &References) -> Result<Self, RowError> {
        if references.kept.is_some() {
            return Ok(Self { id: None, documents: Vec::new(), kept: references.kept.clone() });
        }
        let (logical, pointer) = (format!("{element}/identifier"), format!("{element}/reference"));
        let named = resource.pointer(&logical).map(|identifier| document(identifier, &logical)).transpose()?.flatten();
        let reference = text(resource, &pointer).map(|r| r.split_once("/_history/").map_or(r, |(r, _)| r));
        let referred = reference.and_then(|reference| references.patients.get(reference));
        let referred = referred.map(|person| {
            person.clone().ok_or_else(|| {
                invalid(&pointer, "expected a reference to one Patient in the Bundle, whose identifiers are in order")
            })
        });
        match (named, referred.transpose()?) {
            (Some(named), Some(referred)) if referred.documents.is_empty() => Ok(Self::of_document(named)),
            (Some(named), Some(referred)) if !referred.documents.contains(&named) => Err(invalid(
                &format!("{logical}/value"),
                "expected an identifier of the Patient that the reference beside it names: they name two persons",
            )),
            (_, Some(referred)) => Ok(referred),
            (Some(named), None) => Ok(Self::of_document(named)),
            (None, None) => {
                let id = reference.and_then(|reference| reference.strip_prefix("Patient/")).filter(|id| is_id(id));
                let expected = "expected Patient/id, the fullUrl of a Patient in the same Bundle, or beside it an \
                     identifier of a known system";
                let id = id.ok_or_else(|| invalid(&pointer, expected))?;
                Ok(Self { id: Some(id.to_owned()), documents: Vec::new(), kept: None })
            }
        }
    }

    fn of_document(document: Document) -> Self {
        Self { id: None, documents: vec![document], kept: None }
    }

    /// Whether it can be told who the person is.
    pub(super) fn is_known(&self) -> bool {
        self.id.is_some() || !self.documents.is_empty()
    }

    /// The person's subject, with the document by which it was found; without that if it was found earlier.
    pub(super) fn identified(self, context: Context<'_>) -> Result<(Identified, Option<Document>), RowError> {
        if let Some(kept) = self.kept {
            return Ok((kept, None));
        }
        let document = Self::document(self.id, self.documents, context)?;
        let subject = context.pseudonyms.subject(&document);
        let person = Identified { subject, document: document.masked(), document_type: document.kind() };
        Ok((person, Some(document)))
    }

    /// The document that identifies the person here.
    fn document(id: Option<String>, documents: Vec<Document>, context: Context<'_>) -> Result<Document, RowError> {
        if let Some(document) = documents.into_iter().next() {
            return Ok(document);
        }
        let id = id.ok_or_else(|| invalid("/id", "expected an id, or an identifier of a known system"))?;
        Document::new(DocumentType::Local, &format!("{}/{id}", context.agency))
            .map_err(|expected| invalid("/id", expected.to_string()))
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
