//! Merges defaults, file and environment, and finds every error in them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::{ConfigError, NOT_SETTINGS};
use crate::redacted_serde::{missing_field, redact};

/// The settings of all sources, the source of each key, and the errors found so far.
#[derive(Default)]
pub(super) struct Merged {
    defaults: Table,
    /// File and environment.
    given: Table,
    file: String,
    in_file: Table,
    variables: BTreeMap<String, Variable>,
    errors: Vec<ConfigError>,
}

/// A variable behind a key. `text` is its value as written, until that has been tried; lists and tables are never meant
/// as text.
struct Variable {
    name: String,
    text: Option<String>,
}

impl Merged {
    /// Only defaults.
    ///
    /// # Panics
    /// When they are not TOML: they are a constant of the program.
    pub(super) fn new(defaults: &str) -> Self {
        Self { defaults: defaults.parse().expect("the program's defaults are TOML"), ..Self::default() }
    }

    pub(super) fn add_file(&mut self, path: &Path) {
        self.file = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self.error("", self.file.clone(), format!("expected a readable file: {}", error.kind()));
            }
        };
        match text.parse::<Table>() {
            Ok(table) => {
                self.in_file = table.clone();
                overlay(&mut self.given, table);
            }
            // Not the error itself: it quotes the line, which may contain a secret.
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                self.error("", format!("{} line {line}", self.file), "expected TOML".to_owned());
            }
        }
    }

    pub(super) fn add_env(&mut self, env: impl IntoIterator<Item = (String, String)>) {
        // Sorted by name, so that errors come in the same order each time.
        let ours: BTreeMap<_, _> = env
            .into_iter()
            .filter(|(name, _)| name.starts_with("YIMA_") && !NOT_SETTINGS.contains(&name.as_str()))
            .collect();
        for (name, text) in ours {
            let path: Vec<String> = name["YIMA_".len()..].split("__").map(str::to_ascii_lowercase).collect();
            if path.len() < 2 || path.iter().any(String::is_empty) {
                self.error("", name, "expected a name like YIMA_SECTION__KEY".to_owned());
                continue;
            }
            let value = text.parse().unwrap_or_else(|_| Value::String(text.clone()));
            let text = (!value.is_array() && !value.is_table()).then_some(text);
            if set(&mut self.given, &path, value) {
                self.variables.insert(path.join("."), Variable { name, text });
            } else {
                self.error(&path.join("."), name, "expected a section, where the file has a value".to_owned());
            }
        }
    }

    /// Deserialises, each time without the keys in error so far. `None` if even that fails.
    pub(super) fn deserialize<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let mut table = self.defaults.clone();
            overlay(&mut table, self.given.clone());
            let error = match serde_path_to_error::deserialize::<_, T>(Value::Table(table)) {
                Ok(config) => return Some(config),
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
            let source = self.source(&path).unwrap_or_default();
            self.error(&full, source, redact(message));
            if !remove(&mut self.given, &path) {
                return None;
            }
        }
    }

    /// A variable's `007` may be meant as text: it is tried as text before it counts as an error.
    fn retry_as_text(&mut self, path: &[String]) -> bool {
        let Some(text) = self.variables.get_mut(&path.join(".")).and_then(|variable| variable.text.take()) else {
            return false;
        };
        set(&mut self.given, path, Value::String(text))
    }

    /// The variable that set this key or a section around it, else the file, else the variable that made this section.
    fn source(&self, path: &[String]) -> Option<String> {
        let key = path.join(".");
        let named = |fits: &dyn Fn(&str) -> bool| {
            self.variables.iter().find(|(set, _)| fits(set)).map(|(_, variable)| variable.name.clone())
        };
        named(&|set| set == key || under(set, &key))
            .or_else(|| has(&self.in_file, path).then(|| self.file.clone()))
            .or_else(|| named(&|set| under(&key, set)))
    }

    /// The source of a key by its full name; `None` if only the defaults have it.
    pub(super) fn source_of(&self, key: &str) -> Option<String> {
        self.source(&key.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    /// Whether the key, a section around it or an item in it is in error.
    pub(super) fn has_error(&self, key: &str) -> bool {
        let is_item = |error: &str| error.strip_prefix(key).is_some_and(|rest| rest.starts_with('['));
        self.errors.iter().any(|error| error.key == key || under(&error.key, key) || is_item(&error.key))
    }

    pub(super) fn error(&mut self, key: &str, source: String, expected: String) {
        self.errors.push(ConfigError { key: key.to_owned(), source, expected });
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }
}

/// Whether the key `inner` is within the section `outer`.
fn under(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// A key of a table. Nothing after an index: a list is judged and removed as a whole, or its other items would move.
fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Seq { .. } | Segment::Unknown => None,
    }
}

/// Sets a value and adds the sections around it; false if one of them is a value.
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

/// Whether the path leads to a value or section.
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

    use super::super::{Checks, Ms, Secret, load, load_checked};

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        read_api: ReadApi,
    }

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct ReadApi {
        #[serde(rename = "max_lag_ms", with = "Ms")]
        max_lag: Duration,
        name: String,
        key: Secret,
        ports: Vec<u16>,
    }

    fn env<const N: usize>(pairs: [(&str, &str); N]) -> impl Iterator<Item = (String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter()
    }

    #[test]
    fn the_environment_overrides_the_file() {
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
    fn all_errors_are_reported_with_key_and_source_and_without_values() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "colour = 1\n[read_api]\nmax_lag_ms = \"hunter2\"\nports = [1, \"hunter2\"]\nnmae = 1\n";
        std::fs::write(file.path(), text).unwrap();
        let given = env([
            ("YIMA_READ_API__NAME", "[\"hunter2\", 5]"),
            ("YIMA_READ_API__COLOR", "hunter2"),
            ("YIMA_TYPO", "hunter2"),
            ("YIMA_READ_API__KEY", "{ file = \"/hunter3/none\" }"),
        ]);
        let errors = load::<Config>("", Some(file.path()), given).err().unwrap();
        let text = errors.to_string();
        let found: Vec<_> = errors.0.iter().map(|error| (error.key.as_str(), error.source.as_str())).collect();
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
    fn a_file_that_is_not_toml_is_reported_with_its_line_beside_errors_in_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[read_api]\nkey = hunter2 hunter2\n").unwrap();
        let errors = load::<Config>("", Some(file.path()), env([("YIMA_READ_API__PORTS", "none")])).err().unwrap();
        assert_eq!(errors.0.len(), 2, "{errors}");
        assert!(errors.0[0].source.ends_with("line 2"), "{errors}");
        assert!(!errors.to_string().contains("hunter"), "{errors}");
        assert!(load::<Config>("", Some(std::path::Path::new("/no/such/file")), env([])).is_err());
    }

    #[test]
    fn a_variable_below_a_default_value_is_an_error_of_that_value() {
        let given = env([("YIMA_READ_API__NAME__FIRST", "a")]);
        let errors = load::<Config>("[read_api]\nname = \"default\"\n", None, given).err().unwrap();
        assert_eq!((errors.0[0].key.as_str(), errors.0.len()), ("read_api.name", 1), "{errors}");
        assert_eq!(errors.0[0].source, "YIMA_READ_API__NAME__FIRST");
    }

    #[test]
    fn checks_are_reported_beside_other_errors_unless_they_follow_from_them() {
        let check = |config: &Config, checks: &mut Checks<'_>| {
            let ReadApi { max_lag, name, ports, .. } = &config.read_api;
            checks.expect(ports.len() > 1, "read_api.ports", &[], "expected two");
            checks.expect(!name.is_empty(), "read_api.name", &["read_api.ports"], "expected with ports");
            checks.expect(!max_lag.is_zero(), "read_api.max_lag_ms", &[], "expected at least 1");
            checks.expect(false, "read_api.key", &[], "expected a key");
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[read_api]\nports = [1]\n").unwrap();
        let given = env([("YIMA_READ_API__MAX_LAG_MS", "soon"), ("YIMA_COLOUR__CODE", "1")]);
        let errors = load_checked("", Some(file.path()), given, check).err().unwrap();
        let found: Vec<_> = errors.0.iter().map(|error| (error.key.as_str(), error.source.as_str())).collect();
        let path = file.path().display().to_string();
        let wanted = [
            ("colour", "YIMA_COLOUR__CODE"),
            ("read_api.max_lag_ms", "YIMA_READ_API__MAX_LAG_MS"),
            ("read_api.ports", path.as_str()),
            ("read_api.key", "the defaults"),
        ];
        assert_eq!(found, wanted, "{errors}");
    }
}
