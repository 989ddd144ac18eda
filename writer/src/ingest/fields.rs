//! Reading the fields of a JSON object: every fault is collected with its pointer, no value is repeated.

use serde_json::{Map, Value};
use yima_schema::problem::{FieldError, Problem};

/// Faults of one event that are told: a row of 64 KiB can have thousands of fields that nobody knows.
const MAX_FAULTS: usize = 20;

/// An object being read. Fields that nobody asked for are faults: a misspelt `until` must not become an endless quarantine.
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

    /// The value of a field, if it is there and not null.
    pub fn optional(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.object?.get(key).filter(|v| !v.is_null())
    }

    /// Notes that a field is not what was expected.
    pub fn fault(&mut self, key: &str, expected: impl Into<String>) {
        // Without an object every field is missing; saying that once is enough.
        if self.object.is_some() {
            self.errors.push(FieldError::new(format!("{}/{key}", self.pointer), expected));
        }
    }

    /// A field that must be there and that `read` must understand.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.optional(key).and_then(read);
        if value.is_none() {
            self.fault(key, expected);
        }
        value
    }

    /// A field that may be left out or null; `None` if it is there and not understood.
    pub fn maybe<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(value) = self.optional(key) else { return Some(None) };
        let read = read(value);
        if read.is_none() {
            self.fault(key, expected);
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

    /// All faults, with the fields that nobody asked for: of those no more than [`refusal`] can tell, and one.
    pub fn finish(mut self) -> Vec<FieldError> {
        let keys = self.object.into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| !self.known.contains(&key.as_str())).take(MAX_FAULTS + 1) {
            // RFC 6901 section 3: ~ and / are escaped. The name is the sender's, so it is cut.
            let name: String = key.chars().take(40).collect::<String>().replace('~', "~0").replace('/', "~1");
            let known = self.known.join(", ");
            self.errors
                .push(FieldError::new(format!("{}/{name}", self.pointer), format!("unknown field; expected {known}")));
        }
        self.errors
    }
}

/// The problem of an event with these faults. Beyond [`MAX_FAULTS`] the last that is told says that there are more.
pub(super) fn refusal(mut errors: Vec<FieldError>) -> Problem {
    let more = errors.len() > MAX_FAULTS;
    errors.truncate(MAX_FAULTS);
    if more && let Some(last) = errors.last_mut() {
        last.detail += "; there are more faults than these";
    }
    Problem::invalid(errors)
}
