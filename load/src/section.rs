//! Reads a TOML file key by key and collects every fault, so that one reading names them all.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::{Table, Value};

/// A section of a file. Keys that are read are taken out of it; what is left at the end is unknown.
pub(crate) struct Section<'f> {
    name: String,
    table: Table,
    faults: &'f mut Vec<String>,
}

impl<'f> Section<'f> {
    pub(crate) fn new(name: impl Into<String>, table: Table, faults: &'f mut Vec<String>) -> Self {
        Self { name: name.into(), table, faults }
    }

    /// The section of this name within this one; empty if it is not there.
    pub(crate) fn section(&mut self, key: &str) -> Section<'_> {
        let table = match self.table.remove(key) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(_) => {
                self.fault(key, "expected a section");
                Table::new()
            }
        };
        Section::new(self.key(key), table, self.faults)
    }

    /// The sections of a list (`[[phases]]`); none if it is not there.
    pub(crate) fn list(&mut self, key: &str) -> Vec<Table> {
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let items = value.as_array().into_iter().flatten();
        let tables: Option<Vec<Table>> = items.map(|item| item.as_table().cloned()).collect();
        tables.filter(|_| value.is_array()).unwrap_or_else(|| {
            self.fault(key, format!("expected sections [[{key}]]"));
            Vec::new()
        })
    }

    pub(crate) fn faults(&mut self) -> &mut Vec<String> {
        self.faults
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    /// A text; `None` if it is not there or no text.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.table.remove(key)?;
        if !value.is_str() {
            self.fault(key, "expected a text");
        }
        value.as_str().map(str::to_owned)
    }

    /// A number within a range; `None` if it is not there or none.
    pub(crate) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.table.remove(key)?;
        self.number_in(key, &value, range)
    }

    pub(crate) fn number_in(&mut self, key: &str, value: &Value, range: RangeInclusive<f64>) -> Option<f64> {
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(key, format!("expected a number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A whole number within a range; the default if it is not there or none.
    pub(crate) fn whole(&mut self, key: &str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.table.remove(key) else { return default };
        let number = value.as_integer().and_then(|whole| u32::try_from(whole).ok());
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.fault(key, format!("expected a whole number from {} to {}", range.start(), range.end()));
            default
        })
    }

    /// A fault of one of its keys; of the section itself with an empty key.
    pub(crate) fn fault(&mut self, key: &str, expected: impl Display) {
        let key = self.key(key);
        self.faults.push(if key.is_empty() { expected.to_string() } else { format!("{key}: {expected}") });
    }

    /// Names what was not read.
    pub(crate) fn end(mut self, known: &str) {
        for key in std::mem::take(&mut self.table).keys() {
            self.fault(key, format!("unknown; known are {known}"));
        }
    }

    fn key(&self, key: &str) -> String {
        match (self.name.as_str(), key) {
            ("", key) => key.to_owned(),
            (name, "") => name.to_owned(),
            (name, key) => format!("{name}.{key}"),
        }
    }
}
