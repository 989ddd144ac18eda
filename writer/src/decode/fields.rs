//! Reads the fields of a JSON object: collects every error with its pointer, and never repeats a value.

use serde_json::{Map, Value};
use yima_schema::problem::{FieldError, Problem};
use yima_service::http::unique_members::reference_token;

/// Errors reported for one event: a row of 64 KiB can have thousands of unknown fields.
const MAX_ERRORS: usize = 20;

/// An object that is being read. A field that was not read is an error: a misspelt `until` must not become an endless
/// quarantine.
pub(super) struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    pointer: String,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Reads `value` as an object at `pointer`.
    pub fn new(value: Option<&'a Value>, pointer: &str) -> Self {
        let object = value.and_then(Value::as_object);
        let errors = match object {
            Some(_) => Vec::new(),
            None => vec![FieldError::new(pointer, "expected an object")],
        };
        Self { object, pointer: pointer.to_owned(), known: Vec::new(), errors }
    }

    /// The value of a field, if the field exists and is not null.
    pub fn optional(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.object?.get(key).filter(|v| !v.is_null())
    }

    /// Adds an error of a field.
    pub fn reject(&mut self, key: &str, expected: impl Into<String>) {
        // Without an object every field is missing; one error for the object is enough.
        if self.object.is_some() {
            self.errors.push(FieldError::new(format!("{}/{key}", self.pointer), expected));
        }
    }

    /// A field that must exist and that `read` must accept.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.optional(key).and_then(read);
        if value.is_none() {
            self.reject(key, expected);
        }
        value
    }

    /// A field that may be missing or null; `None` if it exists and `read` does not accept it.
    pub fn maybe<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(value) = self.optional(key) else { return Some(None) };
        let read = read(value);
        if read.is_none() {
            self.reject(key, expected);
        }
        read.map(Some)
    }

    /// A field that must be one of a closed list.
    pub fn one_of<T: Copy>(&mut self, key: &'static str, list: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = list.iter().map(|(name, _)| *name).collect();
        let expected = format!("expected one of {}", names.join(", "));
        let find = |v: &Value| v.as_str().and_then(|s| list.iter().find(|(name, _)| *name == s)).map(|(_, t)| *t);
        self.required(key, &expected, find)
    }

    /// All errors, with one for each field that was not read: of those at most one more than [`invalid`] reports.
    pub fn finish(mut self) -> Vec<FieldError> {
        let keys = self.object.into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| !self.known.contains(&key.as_str())).take(MAX_ERRORS + 1) {
            let pointer = format!("{}/{}", self.pointer, reference_token(key));
            self.errors.push(FieldError::new(pointer, format!("unknown field; expected {}", self.known.join(", "))));
        }
        self.errors
    }
}

/// The problem of an event with these errors. Beyond [`MAX_ERRORS`] the last one reported says that there are more.
pub(super) fn invalid(mut errors: Vec<FieldError>) -> Problem {
    let more = errors.len() > MAX_ERRORS;
    errors.truncate(MAX_ERRORS);
    if more && let Some(last) = errors.last_mut() {
        last.detail += "; more errors are not listed";
    }
    Problem::invalid(errors)
}
