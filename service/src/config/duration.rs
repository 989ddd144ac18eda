//! Durations as settings: whole numbers whose unit is the suffix of their key.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serializer};

/// `#[serde(with = "config::Ms")]` on a field whose key ends in `_ms`: whole milliseconds.
pub struct Ms;

/// `#[serde(with = "config::S")]` on a field whose key ends in `_s`: whole seconds.
pub struct S;

impl Ms {
    /// From whole milliseconds.
    ///
    /// # Errors
    /// Not a whole number of 0 or more.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }

    /// As whole milliseconds.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl S {
    /// From whole seconds.
    ///
    /// # Errors
    /// Not a whole number of 0 or more.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_secs)
    }

    /// As whole seconds.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<R: Serializer>(duration: &Duration, s: R) -> Result<R::Ok, R::Error> {
        s.serialize_u64(duration.as_secs())
    }
}

impl JsonSchema for Ms {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        u64::json_schema(generator)
    }
}

impl JsonSchema for S {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        u64::json_schema(generator)
    }
}
