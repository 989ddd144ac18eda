//! A setting that is never printed.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret text: given as it is (best set in the environment) or as `{ file = "…" }`, whose content is taken without
/// its final line break. Debug and serialised forms are redacted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("redacted")
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct TextOrFile;

        impl<'de> Visitor<'de> for TextOrFile {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret, or { file = \"…\" } with the file that contains it")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let unexpected = || A::Error::custom("expected a secret, or { file = \"…\" } and nothing else");
                let (key, path) = map.next_entry::<String, PathBuf>()?.ok_or_else(unexpected)?;
                if key != "file" || map.next_key::<String>()?.is_some() {
                    return Err(unexpected());
                }
                let text = std::fs::read_to_string(path)
                    .map_err(|error| A::Error::custom(format_args!("expected a readable file: {}", error.kind())))?;
                Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }

        d.deserialize_any(TextOrFile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_and_printed_redacted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let text = format!("secret = {{ file = {:?} }}", file.path());
        let mut table: std::collections::BTreeMap<String, Secret> = toml::from_str(&text).unwrap();
        let secret = table.remove("secret").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"redacted\"");
        assert!(toml::from_str::<std::collections::BTreeMap<String, Secret>>("s = { path = \"x\" }").is_err());
    }
}
