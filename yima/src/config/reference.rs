//! The reference of all settings in `docs/configuration.md`: generated from the types, their doc comments and their
//! defaults.
//!
//! A section's text is the doc comment of its type. A key's row has the first sentence of the field's doc comment, and
//! the rest follows below the table. A sentence that begins with `Default: ` fills the default of a key that is unset
//! by default. `UPDATE_DOCS=1 cargo test -p yima reference` rewrites the document.

use std::fmt::Write;

use schemars::schema_for;
use serde_json::{Map, Value};

use super::{Config, Role};
use crate::documents;

/// Widest line of a paragraph.
const WIDTH: usize = 120;

/// A section of the settings file, or several of the same type.
struct Section<'a> {
    paths: Vec<String>,
    type_name: &'a str,
    schema: &'a Value,
    /// For each path, the values in [`ROLES`].
    values: Vec<[Value; 3]>,
}

const ROLES: [Role; 3] = [Role::Everything, Role::ReadApi, Role::Writer];

#[test]
fn the_reference_of_settings_is_the_one_in_the_documentation() {
    let schema = schema_for!(Config).to_value();
    let values = ROLES.map(|role| serde_json::to_value(role.defaults()).unwrap());
    let mut sections = Vec::new();
    collect("", &schema, &schema, &values, &mut sections);
    let text: String = sections.iter().map(|section| section.render(&schema)).collect();
    documents::assert_generated("configuration.md", "settings", &text);
}

/// The keys of a section in their declared order.
fn keys(section: &Value) -> impl Iterator<Item = &str> {
    section["x-order"].as_array().expect("a section has config::in_order").iter().filter_map(Value::as_str)
}

/// The type that a key refers to, if it is a type of its own.
fn referred<'a>(root: &'a Value, key: &'a Value) -> Option<(&'a str, &'a Value)> {
    let direct = key["$ref"].as_str();
    let optional = || key["anyOf"].as_array()?.iter().find_map(|one| one["$ref"].as_str());
    let name = direct.or_else(optional)?.strip_prefix("#/$defs/")?;
    Some((name, &root["$defs"][name]))
}

/// The sections below `section`, in the order of the document.
fn collect<'a>(path: &str, root: &'a Value, section: &'a Value, values: &[Value; 3], found: &mut Vec<Section<'a>>) {
    for key in keys(section) {
        let Some((type_name, schema)) = referred(root, &section["properties"][key]) else { continue };
        if schema.get("x-order").is_none() {
            continue;
        }
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let values = values.clone().map(|value| value[key].clone());
        match found.iter_mut().find(|known| known.type_name == type_name) {
            Some(known) => {
                known.paths.push(path.clone());
                known.values.push(values.clone());
            }
            None => found.push(Section { paths: vec![path.clone()], type_name, schema, values: vec![values.clone()] }),
        }
        collect(&path, root, schema, &values, found);
    }
}

impl Section<'_> {
    fn render(&self, root: &Value) -> String {
        let mut text = format!("### {}\n\n", self.heading());
        for paragraph in description(self.schema).split("\n\n") {
            writeln!(text, "{}\n", wrapped(paragraph)).unwrap();
        }
        let mut below = String::new();
        text.push_str("| key | default | meaning |\n|---|---|---|\n");
        for key in keys(self.schema) {
            let property = &self.schema["properties"][key];
            let target = referred(root, property);
            if target.is_some_and(|(_, schema)| schema.get("x-order").is_some() && schema.get("x-rate").is_none()) {
                continue;
            }
            let words = description(property).replace('\n', " ");
            let (meaning, rest) = first_sentence(&words);
            let (stated, rest) = stated_default(rest);
            let default = self.default(key, property, stated);
            writeln!(text, "| `{key}` | {default} | {} |", meaning.trim_end_matches('.')).unwrap();
            if !rest.is_empty() {
                writeln!(below, "\n{}", wrapped(&format!("`{key}`: {rest}"))).unwrap();
            }
        }
        text + &below + "\n"
    }

    /// `[read_api.tls] and [writer.tls]`; sections of one type beside each other are `[read_api.limits.NAME]`.
    fn heading(&self) -> String {
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let mut names: Vec<String> = Vec::new();
        for path in &self.paths {
            let siblings = self.paths.iter().filter(|other| parent(other) == parent(path)).count();
            let name = match parent(path) {
                Some(parent) if siblings > 1 => format!("[{parent}.NAME]"),
                Some(_) | None => format!("[{path}]"),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(" and ")
    }

    fn default(&self, key: &str, property: &Value, stated: Option<String>) -> String {
        let is_required = self.schema["required"].as_array().is_some_and(|keys| keys.contains(&key.into()));
        if is_required && self.values.iter().flatten().all(Value::is_null) {
            return "required".to_owned();
        }
        if let Some(stated) = stated {
            return stated;
        }
        if self.paths.len() > 2 {
            return "of the limit".to_owned();
        }
        let of = |values: &[Value; 3]| {
            let [everything, read_api, writer] = values.each_ref().map(|value| {
                // A section that is absent by default has the defaults of its own keys in the schema.
                let value = if value.is_null() { &property["default"] } else { &value[key] };
                shown(key, value)
            });
            match (everything == read_api, everything == writer, read_api == writer) {
                (true, true, _) => everything,
                (_, _, true) => format!("{everything}; services apart {writer}"),
                (true, ..) => format!("{everything}; writer apart {writer}"),
                (..) => format!("{everything}; read-api apart {read_api}, writer apart {writer}"),
            }
        };
        let defaults: Vec<String> = self.values.iter().map(of).collect();
        let Some((first, others)) = defaults.split_first() else { return String::new() };
        let mut text = first.clone();
        for (other, path) in others.iter().zip(&self.paths[1..]).filter(|(other, _)| *other != first) {
            write!(text, "; {} {other}", path.split('.').next().unwrap_or_default()).unwrap();
        }
        text
    }
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_else(|| panic!("no doc comment: {schema}"))
}

/// The first sentence, and the others.
fn first_sentence(text: &str) -> (&str, &str) {
    text.split_once(". ").unwrap_or((text, ""))
}

/// Takes the sentence that states a default out of the text.
fn stated_default(text: &str) -> (Option<String>, String) {
    let is_default = |sentence: &&str| sentence.starts_with("Default: ");
    let sentences: Vec<&str> = text.trim_end_matches('.').split(". ").filter(|sentence| !sentence.is_empty()).collect();
    let stated = sentences.iter().copied().find(is_default).map(|sentence| sentence["Default: ".len()..].to_owned());
    let others: Vec<&str> = sentences.into_iter().filter(|sentence| !is_default(sentence)).collect();
    let rest = if others.is_empty() { String::new() } else { others.join(". ") + "." };
    (stated, rest)
}

/// A default as a file would have it, with its size or time in words where that is easier to read.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Object(rate) => rate_in_words(rate),
        Value::Number(number) => match number.as_u64() {
            Some(number) => format!("`{}`{}", grouped(number), in_words(key, number)),
            // As the type has it, of 32 bits or 64: the shorter one is meant.
            None => number.as_f64().map_or_else(|| number.to_string(), |float| format!("`{}`", float as f32)),
        },
        Value::String(text) => format!("`{text}`"),
        Value::Bool(_) | Value::Array(_) => format!("`{value}`"),
    }
}

fn rate_in_words(rate: &Map<String, Value>) -> String {
    let number = |key: &str| rate[key].as_u64();
    let (requests, window) = (number("requests").unwrap_or_default(), number("window_s").unwrap_or_default());
    let burst = number("burst").map(|burst| format!(", `burst` {}", grouped(burst))).unwrap_or_default();
    format!("{} in {window} s{burst}", grouped(requests))
}

/// `16_000_000`, as TOML takes it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

fn in_words(key: &str, number: u64) -> String {
    let units: &[(u64, &str)] = match key.rsplit('_').next() {
        Some("bytes") => &[(1 << 30, "GiB"), (1 << 20, "MiB")],
        Some("s") => &[(86_400, "d"), (3_600, "h")],
        Some(_) | None => &[],
    };
    let unit = units.iter().find(|(size, _)| number >= *size && number.is_multiple_of(*size));
    unit.map(|(size, unit)| format!(" ({} {unit})", number / size)).unwrap_or_default()
}

fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("a first line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            write!(line, " {word}").unwrap();
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
