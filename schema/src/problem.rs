//! Problem types (RFC 9457): the one list of the errors a client can get, each with status and title.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::time::Time;

macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = ($slug:literal, $status:literal, $title:literal),)+) => {
        /// Why a request failed. `type` in a problem document is `https://yima.dev/problems/<slug>`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ProblemType { $($(#[doc = $doc])+ $variant,)+ }

        impl ProblemType {
            /// Every type.
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
    /// The body does not match its content type: JSON that does not parse, invalid UTF-8, nesting too deep.
    Malformed = ("malformed", 400, "The request body could not be read"),
    /// A field is missing, unknown or has an invalid value; `errors` names each.
    Invalid = ("invalid", 400, "A field has an invalid value"),
    /// There is no token, or it is invalid or expired.
    Unauthenticated = ("unauthenticated", 401, "A valid token is needed"),
    /// The token is valid but does not allow this request.
    Forbidden = ("forbidden", 403, "The token does not allow this"),
    /// The caller is not the guardian of this person, or not any more.
    NotAGuardian = ("not-a-guardian", 403, "This person's code cannot be shown by the caller"),
    /// No such route.
    NotFound = ("not-found", 404, "This route does not exist"),
    /// The person has no such phone, or it was ended.
    UnknownPhone = ("unknown-phone", 404, "This person has no such phone"),
    /// The route exists, but not for this method; see `Allow`.
    MethodNotAllowed = ("method-not-allowed", 405, "This method is not allowed here"),
    /// The body did not arrive in time.
    Timeout = ("timeout", 408, "The request did not arrive in time"),
    /// An event with the same agency, id and revision but different content exists.
    Conflict = ("conflict", 409, "An event with this id and revision but different content already exists"),
    /// The subject has the maximum number of events.
    SubjectFull = ("subject-full", 409, "This subject has reached the limit of events"),
    /// The person has as many phones as are allowed.
    TooManyPhones = ("too-many-phones", 409, "This person has as many phones as are allowed"),
    /// One of the two persons has as many guardianships as are allowed.
    TooManyGuardianships = ("too-many-guardianships", 409, "A person has as many guardianships as are allowed"),
    /// The invitation has expired, was used by somebody else, or is of a session that was ended.
    InvitationOver = ("invitation-over", 409, "The invitation is not valid any more"),
    /// The body exceeds the limit.
    TooLarge = ("too-large", 413, "The request body is too large"),
    /// The route does not support the content type.
    UnsupportedMediaType = ("unsupported-media-type", 415, "This content type is not supported here"),
    /// `Host` names another host than those that the route answers to.
    Misdirected = ("misdirected", 421, "This route does not answer to this host name"),
    /// The rate limit is exceeded; see `Retry-After`.
    TooManyRequests = ("too-many-requests", 429, "Too many requests"),
    /// A defect of the service.
    Internal = ("internal", 500, "Something went wrong on our side"),
    /// The view is superseded and the new one cannot be read yet; see `Retry-After`.
    BeingUpdated = ("being-updated", 503, "The answer is being updated"),
    /// The store's disk has too little space for more events; see `Retry-After`.
    NoRoom = ("no-room", 503, "There is too little disk space for more events"),
    /// Many wait for the same; `waiting` has a place in line. See `Retry-After`.
    Waiting = ("waiting", 503, "Many are waiting"),
    /// The service is overloaded, starting or stopping, or cannot reach the store; see `Retry-After`.
    Unavailable = ("unavailable", 503, "The service cannot answer now"),
}

/// An invalid field and what was expected in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field; empty for the whole document.
    pub pointer: String,
    /// What was expected; never repeats what was sent.
    pub detail: String,
}

impl FieldError {
    /// The field at `pointer` (RFC 6901), and what was expected in it.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A place in line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// To be sent as `Yima-Ticket` with the same request, from `expected_at` on.
    pub ticket: String,
    /// The number of the place: 1 is next.
    pub place: u64,
    /// When the request is let in, if as many are served as now.
    pub expected_at: Time,
}

/// The content of a problem document: becomes a response or a row of an NDJSON answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The type.
    pub kind: ProblemType,
    /// This occurrence, in words for the client; never an internal error.
    pub detail: String,
    /// The invalid fields, if any.
    pub errors: Vec<FieldError>,
    /// Seconds after which a retry makes sense (`Retry-After`).
    pub retry_after_s: Option<u32>,
    /// The place in line, with [`ProblemType::Waiting`].
    pub waiting: Option<Box<Waiting>>,
}

impl Problem {
    /// A problem without fields and `Retry-After`.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after_s: None, waiting: None }
    }

    /// [`ProblemType::Invalid`] with the invalid fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields have errors", many.len()),
        };
        Self { kind: ProblemType::Invalid, detail, errors, retry_after_s: None, waiting: None }
    }

    /// Adds `Retry-After`.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds a place in line.
    pub fn waiting(mut self, waiting: Waiting) -> Self {
        self.waiting = Some(Box::new(waiting));
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
        if let Some(waiting) = &self.waiting {
            map.serialize_entry("waiting", waiting)?;
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
            .property("type", uri.description(Some("The type of the problem, one of a closed list")))
            .property("title", text())
            .property("status", ObjectBuilder::new().schema_type(Type::Integer))
            .property("detail", text())
            .property("errors", errors)
            .property("waiting", Ref::from_schema_name("Waiting"))
            .description(Some("A problem document (RFC 9457)"));
        ["type", "title", "status", "detail"].into_iter().fold(problem, ObjectBuilder::required).into()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("FieldError".into(), FieldError::schema()));
        schemas.push(("Waiting".into(), Waiting::schema()));
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
