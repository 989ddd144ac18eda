//! Problem types (RFC 9457): the one list of what can be wrong with a request, with status and title.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = ($slug:literal, $status:literal, $title:literal),)+) => {
        /// What is wrong with a request. `type` in a problem document is `https://yima.dev/problems/<slug>`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ProblemType { $($(#[doc = $doc])+ $variant,)+ }

        impl ProblemType {
            /// Every type, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The last part of the type's URI.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)+ }
            }

            /// The HTTP status (RFC 9110 section 15).
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A short summary that does not change from occurrence to occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

problem_types! {
    /// The body is not what its content type says: JSON that does not parse, invalid UTF-8, nesting too deep.
    Malformed = ("malformed", 400, "The request body could not be read"),
    /// A field is missing, unknown or has a value that it cannot have; `errors` names each.
    Invalid = ("invalid", 400, "A field has a value that it cannot have"),
    /// No token, or one that is not valid (any more).
    Unauthenticated = ("unauthenticated", 401, "A valid token is needed"),
    /// The token is valid but does not allow this.
    Forbidden = ("forbidden", 403, "The token does not allow this"),
    /// No such route.
    NotFound = ("not-found", 404, "There is nothing here"),
    /// The route exists, not for this method; see `Allow`.
    MethodNotAllowed = ("method-not-allowed", 405, "This method is not allowed here"),
    /// The body did not arrive in time.
    Timeout = ("timeout", 408, "The request did not arrive in time"),
    /// Another content under the same agency, event id and revision.
    Conflict = ("conflict", 409, "This event id and revision already has another content"),
    /// The subject has as many events as one can have.
    SubjectFull = ("subject-full", 409, "This subject has reached the limit of events"),
    /// The body is over the limit.
    TooLarge = ("too-large", 413, "The request body is too large"),
    /// The content type is not one that the route takes.
    UnsupportedMediaType = ("unsupported-media-type", 415, "This content type is not taken here"),
    /// Over the rate limit; see `Retry-After`.
    TooManyRequests = ("too-many-requests", 429, "Too many requests"),
    /// A fault of ours.
    Internal = ("internal", 500, "Something went wrong on our side"),
    /// A view is known to be superseded and the new one cannot be read yet; see `Retry-After`.
    BeingUpdated = ("being-updated", 503, "This is being updated"),
    /// The store's disk has too little room for more events; see `Retry-After`.
    NoRoom = ("no-room", 503, "There is no room for more"),
    /// Overloaded, starting or stopping, or the store cannot be reached; see `Retry-After`.
    Unavailable = ("unavailable", 503, "The service cannot answer now"),
}

/// A field at fault: where, and what was expected there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field; empty for the whole document.
    pub pointer: String,
    /// What was expected, without repeating what was sent.
    pub detail: String,
}

impl FieldError {
    /// `pointer` is an RFC 6901 pointer; `detail` says what was expected.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A problem document, before it becomes a response or a row of an NDJSON answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemType,
    /// This occurrence in words, fit for the client; never an internal error.
    pub detail: String,
    /// The fields at fault, where there are any.
    pub errors: Vec<FieldError>,
    /// Seconds after which trying again makes sense (`Retry-After`).
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with a sentence about this occurrence.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// [`ProblemType::Invalid`] with the fields at fault.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields are at fault", many.len()),
        };
        Self { kind: ProblemType::Invalid, detail, errors, retry_after_s: None }
    }

    /// The same with `Retry-After`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("https://yima.dev/problems/{}", self.kind.slug()))?;
        map.serialize_entry("title", self.kind.title())?;
        map.serialize_entry("status", &self.kind.status())?;
        map.serialize_entry("detail", &self.detail)?;
        if !self.errors.is_empty() {
            map.serialize_entry("errors", &self.errors)?;
        }
        map.end()
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let uri = text().format(Some(SchemaFormat::Custom("uri".into())));
        let errors = ArrayBuilder::new().items(Ref::from_schema_name("FieldError"));
        let problem = ObjectBuilder::new()
            .property("type", uri.description(Some("What is wrong, one of a closed list")))
            .property("title", text())
            .property("status", ObjectBuilder::new().schema_type(Type::Integer))
            .property("detail", text())
            .property("errors", errors)
            .description(Some("A problem document (RFC 9457)"));
        ["type", "title", "status", "detail"].into_iter().fold(problem, ObjectBuilder::required).into()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("FieldError".into(), FieldError::schema()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_an_rfc_9457_document() {
        let problem = Problem::invalid(vec![FieldError::new("/data/result", "expected negative or positive")]);
        let json: serde_json::Value = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "https://yima.dev/problems/invalid");
        assert_eq!(json["status"], 400);
        assert_eq!(json["errors"][0]["pointer"], "/data/result");
    }

    #[test]
    fn slugs_are_unique() {
        let mut slugs: Vec<_> = ProblemType::ALL.iter().map(|t| t.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
    }
}
