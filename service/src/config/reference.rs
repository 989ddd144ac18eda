//! The order of a section's keys, for the reference of all settings in `docs/configuration.md`.

use std::fmt;

use schemars::Schema;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// `#[schemars(transform = config::in_order::<Self>)]` on a section: notes the declared order of its keys as `x-order`,
/// because the properties of a schema are sorted by name.
pub fn in_order<T: for<'de> Deserialize<'de>>(schema: &mut Schema) {
    if let Err(Fields(fields)) = T::deserialize(FieldsOf) {
        schema.insert("x-order".to_owned(), fields.into());
    }
}

/// A deserialiser that reads nothing: it fails with the names of the fields that a struct has, in their declared order.
struct FieldsOf;

#[derive(Debug)]
struct Fields(&'static [&'static str]);

impl<'de> Deserializer<'de> for FieldsOf {
    type Error = Fields;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fields> {
        Err(Fields(fields))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Fields> {
        Err(Fields(&[]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fields {:?}", self.0)
    }
}

impl std::error::Error for Fields {}

impl Error for Fields {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}
