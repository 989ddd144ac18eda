//! Finds a member that an object of a JSON document has twice. RFC 8259 leaves open which of the two counts; in I-JSON
//! (RFC 7493 section 2.3) there is none.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Formatter};

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use yima_schema::problem::{FieldError, Problem};

/// Longest name of a member in a pointer, in characters: it comes from the sender.
const MAX_TOKEN_CHARS: usize = 40;

/// Why a document is refused.
pub enum NotUnique {
    /// JSON Pointer (RFC 6901) to the second member of a name.
    Duplicate(String),
    /// The document is not JSON, or nested over 127 deep.
    Json(serde_json::Error),
}

/// Checks that each object of the document has every name once, after escapes in names were read. Builds no value.
///
/// # Errors
/// The first member that an object has twice, or the first syntax error.
pub fn check(document: &[u8]) -> Result<(), NotUnique> {
    let mut second = None;
    let mut json = serde_json::Deserializer::from_slice(document);
    let read = Unique { second: &mut second }.deserialize(&mut json).and_then(|()| json.end());
    match (read, second) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(tokens)) => Err(NotUnique::Duplicate(tokens.iter().rev().map(|t| format!("/{t}")).collect())),
        (Err(error), None) => Err(NotUnique::Json(error)),
    }
}

/// The problem of a document with a second member at `pointer`.
pub fn problem(pointer: String) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, "expected one member of this name in its object (RFC 7493)")])
}

/// A name as a reference token of a JSON Pointer: cut, and escaped (RFC 6901 section 3).
pub fn reference_token(name: &str) -> String {
    name.chars().take(MAX_TOKEN_CHARS).collect::<String>().replace('~', "~0").replace('/', "~1")
}

/// Reads a value and drops it. After an error, `second` has the reference tokens of the second member, innermost first.
struct Unique<'s> {
    second: &'s mut Option<Vec<String>>,
}

impl Unique<'_> {
    /// Reads a value within this one; an error on a second member gets the `token` that leads to the value.
    fn within<E>(
        &mut self,
        read: impl FnOnce(Unique<'_>) -> Result<(), E>,
        token: impl FnOnce() -> String,
    ) -> Result<(), E> {
        read(Unique { second: self.second }).inspect_err(|_| {
            if let Some(tokens) = self.second {
                tokens.push(token());
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

/// A member's name, borrowed from the document if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(Name(name)) = object.next_key()? {
            if names.contains(&name) {
                *self.second = Some(vec![reference_token(&name)]);
                return Err(A::Error::custom("a second member of one name"));
            }
            self.within(|value| object.next_value_seed(value), || reference_token(&name))?;
            names.insert(name);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let (mut index, mut more) = (0_usize, true);
        while more {
            self.within(
                |value| {
                    more = list.next_element_seed(value)?.is_some();
                    Ok(())
                },
                || index.to_string(),
            )?;
            index += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(document: &str) -> Option<String> {
        match check(document.as_bytes()) {
            Err(NotUnique::Duplicate(pointer)) => Some(pointer),
            Err(NotUnique::Json(error)) => panic!("{document}: {error}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn a_second_member_is_found_at_any_depth() {
        for (document, pointer) in [
            (r#"{"a":1,"a":1}"#, "/a"),
            (r#"{"a":1,"b":{"a":1,"c":[{},{"d":1,"e":null,"d":2}]}}"#, "/b/c/1/d"),
            (r#"[0,[{"":true,"":false}]]"#, "/1/0/"),
            (r#"{"result":"positive","re\u0073ult":"negative"}"#, "/result"),
            (r#"{"a/b~c":1.5,"a/b~c":-1}"#, "/a~1b~0c"),
            (r#"{"a":{"a":1,"b":2},"b":[{"a":1},{"a":2}],"A":3}"#, ""),
        ] {
            assert_eq!(second(document), (!pointer.is_empty()).then(|| pointer.to_owned()), "{document}");
        }
        let long = "n".repeat(10_000);
        assert_eq!(second(&format!(r#"{{"{long}":1,"{long}":2}}"#)).unwrap().len(), 1 + MAX_TOKEN_CHARS);
    }

    #[test]
    fn other_errors_are_errors_of_syntax() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for document in ["", "{", "{} {}", r#"{"a":1,}"#, r#"{1:2}"#, "\"\u{1}\"", &deep] {
            assert!(matches!(check(document.as_bytes()), Err(NotUnique::Json(_))), "{document}");
        }
    }
}
