//! The two sources laid over each other, and the search for every fault in them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::{ConfigError, ConfigErrors, NOT_SETTINGS};
use crate::redacted_serde::{expected, missing_field};

/// What is set, where each key came from, and what is wrong so far.
#[derive(Default)]
pub(super) struct Merged {
    table: Table,
    file: String,
    in_file: Table,
    variables: BTreeMap<String, Variable>,
    faults: Vec<ConfigError>,
}

/// A variable behind a key. `text` is its value as it was written, until that has been tried; lists and tables are never meant as a text.
struct Variable {
    name: String,
    text: Option<String>,
}

impl Merged {
    /// What holds where neither the file nor the environment says otherwise.
    ///
    /// # Panics
    /// When it is not TOML: it is a constant of the program.
    pub(super) fn new(defaults: &str) -> Self {
        Self { table: defaults.parse().expect("the program's defaults are TOML"), ..Self::default() }
    }

    pub(super) fn add_file(&mut self, path: &Path) {
        self.file = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self.fault("", self.file.clone(), format!("expected a readable file: {}", error.kind()));
            }
        };
        match text.parse::<Table>() {
            Ok(table) => {
                self.in_file = table.clone();
                overlay(&mut self.table, table);
            }
            // Not the error itself: it quotes the line, which may hold a secret.
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                self.fault("", format!("{} line {line}", self.file), "expected TOML".to_owned());
            }
        }
    }

    pub(super) fn add_env(&mut self, env: impl IntoIterator<Item = (String, String)>) {
        // In the order of their names, so that faults come in the same order each time.
        let ours: BTreeMap<_, _> = env
            .into_iter()
            .filter(|(name, _)| name.starts_with("YIMA_") && !NOT_SETTINGS.contains(&name.as_str()))
            .collect();
        for (name, text) in ours {
            let path: Vec<String> = name["YIMA_".len()..].split("__").map(str::to_ascii_lowercase).collect();
            if path.len() < 2 || path.iter().any(String::is_empty) {
                self.fault("", name, "expected a name like YIMA_SECTION__KEY".to_owned());
                continue;
            }
            let value = text.parse().unwrap_or_else(|_| Value::String(text.clone()));
            let text = (!value.is_array() && !value.is_table()).then_some(text);
            if set(&mut self.table, &path, value) {
                self.variables.insert(path.join("."), Variable { name, text });
            } else {
                self.fault(&path.join("."), name, "expected a section, where the file has a value".to_owned());
            }
        }
    }

    /// Tries until it deserialises, each time without the key that was at fault.
    pub(super) fn deserialize<T: DeserializeOwned>(mut self) -> Result<T, ConfigErrors> {
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(Value::Table(self.table.clone())) {
                Ok(config) if self.faults.is_empty() => return Ok(config),
                Ok(_) => return Err(ConfigErrors(self.faults)),
                Err(error) => error,
            };
            let mut full = error.path().to_string();
            let message = error.inner().message();
            if let Some(field) = missing_field(message) {
                full = if full == "." { field.to_owned() } else { format!("{full}.{field}") };
            }
            let path: Vec<String> = error.path().iter().map_while(segment).collect();
            if self.retry_as_text(&path) {
                continue;
            }
            let source = self.source(&path);
            self.fault(&full, source, expected(message));
            if !remove(&mut self.table, &path) {
                return Err(ConfigErrors(self.faults));
            }
        }
    }

    /// A variable's `007` may be meant as a text: before it is a fault, it is tried as one.
    fn retry_as_text(&mut self, path: &[String]) -> bool {
        let Some(text) = self.variables.get_mut(&path.join(".")).and_then(|variable| variable.text.take()) else {
            return false;
        };
        set(&mut self.table, path, Value::String(text))
    }

    /// The variable that set this key or a section around it, else the file, else the variable that made this section.
    fn source(&self, path: &[String]) -> String {
        let key = path.join(".");
        let named = |fits: &dyn Fn(&str) -> bool| {
            self.variables.iter().find(|(set, _)| fits(set)).map(|(_, variable)| variable.name.clone())
        };
        named(&|set| set == key || under(set, &key))
            .or_else(|| has(&self.in_file, path).then(|| self.file.clone()))
            .or_else(|| named(&|set| under(&key, set)))
            .unwrap_or_default()
    }

    fn fault(&mut self, key: &str, source: String, expected: String) {
        self.faults.push(ConfigError { key: key.to_owned(), source, expected });
    }
}

/// Whether the key `inner` is within the section `outer`.
fn under(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// A key of a table. Nothing after an index: a list is judged and removed as a whole, or the places of its others would shift.
fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Seq { .. } | Segment::Unknown => None,
    }
}

/// Sets a value, making the sections on the way; false if one of them is a value.
fn set(table: &mut Table, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [key] => {
            table.insert(key.clone(), value);
            true
        }
        [section, rest @ ..] => table
            .entry(section.clone())
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .is_some_and(|inner| set(inner, rest, value)),
    }
}

/// Whether there is something at the path.
fn has(table: &Table, path: &[String]) -> bool {
    match path {
        [] => true,
        [key] => table.contains_key(key),
        [section, rest @ ..] => table.get(section).and_then(Value::as_table).is_some_and(|inner| has(inner, rest)),
    }
}

/// Removes a key; false if it is not there.
fn remove(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [key] => table.remove(key).is_some(),
        [section, rest @ ..] => {
            table.get_mut(section).and_then(Value::as_table_mut).is_some_and(|inner| remove(inner, rest))
        }
    }
}

/// Lays one table over another, section by section.
fn overlay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => overlay(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Deserialize;

    use super::super::{Secret, load, ms};

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        read_api: ReadApi,
    }

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct ReadApi {
        #[serde(rename = "max_lag_ms", deserialize_with = "ms")]
        max_lag: Duration,
        name: String,
        key: Secret,
        ports: Vec<u16>,
    }

    fn env<const N: usize>(pairs: [(&str, &str); N]) -> impl Iterator<Item = (String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter()
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[read_api]\nmax_lag_ms = 1\nname = \"file\"\n").unwrap();
        let given = env([
            ("YIMA_READ_API__MAX_LAG_MS", "2000"),
            ("YIMA_READ_API__KEY", "007"),
            ("YIMA_READ_API__PORTS", "[1, 2]"),
            ("YIMA_LOG", "debug"),
            ("PATH", "/bin"),
        ]);
        let config: Config = load("", Some(file.path()), given).unwrap();
        assert_eq!(config.read_api.max_lag, Duration::from_secs(2));
        assert_eq!(config.read_api.name, "file");
        assert_eq!(config.read_api.key.expose(), "007");
        assert_eq!(config.read_api.ports, [1, 2]);
    }

    #[test]
    fn every_fault_is_reported_with_key_and_source_and_without_its_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "colour = 1\n[read_api]\nmax_lag_ms = \"hunter2\"\nports = [1, \"hunter2\"]\nnmae = 1\n";
        std::fs::write(file.path(), text).unwrap();
        let given = env([
            ("YIMA_READ_API__NAME", "[\"hunter2\", 5]"),
            ("YIMA_READ_API__COLOR", "hunter2"),
            ("YIMA_TYPO", "hunter2"),
            ("YIMA_READ_API__KEY", "{ file = \"/hunter3/none\" }"),
        ]);
        let faults = load::<Config>("", Some(file.path()), given).err().unwrap();
        let text = faults.to_string();
        let found: Vec<_> = faults.0.iter().map(|fault| (fault.key.as_str(), fault.source.as_str())).collect();
        let path = file.path().display().to_string();
        for wanted in [
            ("", "YIMA_TYPO"),
            ("colour", path.as_str()),
            ("read_api.max_lag_ms", &path),
            ("read_api.ports[1]", &path),
            ("read_api.nmae", &path),
            ("read_api.name", "YIMA_READ_API__NAME"),
            ("read_api.color", "YIMA_READ_API__COLOR"),
            ("read_api.key", "YIMA_READ_API__KEY"),
        ] {
            assert!(found.contains(&wanted), "{wanted:?} is not in {text}");
        }
        assert_eq!(found.len(), 8, "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }

    #[test]
    fn a_file_that_is_not_toml_is_reported_with_its_line_and_the_environment_still_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[read_api]\nkey = hunter2 hunter2\n").unwrap();
        let faults = load::<Config>("", Some(file.path()), env([("YIMA_READ_API__PORTS", "none")])).err().unwrap();
        assert_eq!(faults.0.len(), 2, "{faults}");
        assert!(faults.0[0].source.ends_with("line 2"), "{faults}");
        assert!(!faults.to_string().contains("hunter"), "{faults}");
        assert!(load::<Config>("", Some(std::path::Path::new("/no/such/file")), env([])).is_err());
    }
}
