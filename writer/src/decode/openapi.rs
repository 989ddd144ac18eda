//! The event in the OpenAPI description. Events are decoded by hand, field by field, so that every error is reported at
//! once; a test compares the description with the decoder.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use yima_schema::event::{Colour, TestKind, TestOutcome};
use yima_schema::subject::DocumentType;
use yima_schema::time::Time;

/// A fact about a person, from the agency of the token.
#[derive(Deserialize, ToSchema)]
pub struct Event {
    /// The agency's own; unique within agency and subject.
    #[schema(pattern = "^[A-Za-z0-9._:/-]{1,100}$")]
    pub id: String,
    /// A higher one corrects a lower one. Default 0.
    #[schema(maximum = 9007199254740991_i64)]
    pub revision: Option<u64>,
    /// Must be the token's.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,31}$")]
    pub agency: Option<String>,
    /// The person.
    pub subject: Subject,
    /// When it happened: of a test, when the sample was taken. At most 300 s ahead.
    pub occurred_at: Time,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// A person, by an identity document.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The kind of document.
    pub document_type: DocumentType,
    /// Its number; for `local`: the token's agency, a slash, and the agency's own number.
    #[schema(min_length = 1)]
    pub document_number: String,
}

/// The kind of event and its data.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum Fact {
    /// A person's identity.
    Identity {
        /// Masked before it is stored.
        #[schema(min_length = 1, max_length = 200)]
        name: String,
        /// YYYY-MM-DD.
        #[schema(format = Date, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
        born: Option<String>,
        /// Closes the code from then on.
        deceased_at: Option<Time>,
    },
    /// The result of a test.
    TestResult {
        /// The kind of test.
        test: TestKind,
        /// The result.
        result: TestOutcome,
    },
    /// A dose.
    Vaccination {
        /// CVX code.
        #[schema(pattern = "^[0-9]{1,4}$")]
        vaccine: String,
        /// Its number.
        #[schema(minimum = 1, maximum = 20)]
        dose: Option<u8>,
    },
    /// A decision on a person's colour.
    ColourAssignment {
        /// A colour that the reason may give.
        #[schema(schema_with = assignable)]
        colour: Colour,
        /// One of the closed list of reasons.
        #[schema(min_length = 1)]
        reason: String,
        /// Without it: until it is retracted.
        until: Option<Time>,
    },
    /// Takes back an earlier event.
    Retraction {
        /// The event's id.
        #[schema(pattern = "^[A-Za-z0-9._:/-]{1,100}$")]
        event_id: String,
        /// The reason, in words.
        #[schema(min_length = 1, max_length = 200)]
        why: String,
    },
    /// Another person may show the subject's codes, from `occurred_at` on. A retraction takes it back.
    Guardianship {
        /// The kind of the other person's document.
        guardian_document_type: DocumentType,
        /// Its number; not the subject's own.
        #[schema(min_length = 1)]
        guardian_document_number: String,
        /// Without it: until it is taken back, or one of the two ends it.
        until: Option<Time>,
    },
}

/// The colours that an agency may give.
fn assignable() -> Object {
    let names = Colour::ASSIGNABLE.map(Colour::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}
