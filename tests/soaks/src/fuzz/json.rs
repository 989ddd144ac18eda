//! Mutation of JSON documents as trees, and a writer that can write a member twice.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::Value;

use super::mutation::{NUMBERS, TOKENS, change};

/// Most elements after a repetition.
const MOST_ELEMENTS: usize = 3_000;

/// The document after one to four changes, as text. `other` is another document of the corpus.
pub(super) fn mutated(mut document: Value, other: &Value, random: &mut StdRng) -> Vec<u8> {
    for _ in 0..1 << random.random_range(0..3_u32) {
        let nth = random.random_range(0..count(&document));
        if let Some(value) = node(&mut document, &mut { nth }) {
            change_value(value, other, random);
        }
    }
    let mut writer = Writer { text: Vec::new(), twice: None, spaces: random.random_ratio(1, 8) };
    if random.random_ratio(1, 6) {
        writer.twice = Some(random.random_range(0..count(&document)));
    }
    writer.write(&document, random);
    writer.text
}

/// The number of values in a document, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The value that is reached after `left` others.
fn node<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(elements) => elements.iter_mut().find_map(|element| node(element, left)),
        Value::Object(members) => members.values_mut().find_map(|member| node(member, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn change_value(value: &mut Value, other: &Value, random: &mut StdRng) {
    match (random.random_range(0..9), &mut *value) {
        (0 | 1, Value::Object(members)) => {
            let name = members.keys().nth(random.random_range(0..members.len().max(1))).cloned();
            let removed = name.and_then(|name| members.remove(&name));
            // Removed, or renamed.
            if let (Some(removed), true) = (removed, random.random()) {
                let name = other.as_object().and_then(|object| object.keys().next()).cloned();
                members.insert(name.unwrap_or_else(|| token(random)), removed);
            }
        }
        (2, Value::Object(members)) => {
            members.insert(token(random), from(other, random));
        }
        (0 | 1, Value::Array(elements)) if !elements.is_empty() => {
            elements.remove(random.random_range(0..elements.len()));
        }
        (2, Value::Array(elements)) if !elements.is_empty() => {
            let times = if random.random_ratio(1, 20) { MOST_ELEMENTS / elements.len() } else { 2 };
            *elements = elements.iter().cycle().take(elements.len() * times.max(1)).cloned().collect();
        }
        (0..=2, Value::String(text)) => {
            let mut bytes = std::mem::take(text).into_bytes();
            change(&mut bytes, token(random).as_bytes(), random);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        (3, _) => *value = Value::Array(vec![value.take()]),
        (4, _) => *value = Value::Object([(token(random), value.take())].into_iter().collect()),
        (5, _) => *value = token(random).into(),
        (6, _) => {
            let number = NUMBERS.choose(random).and_then(|number| serde_json::from_str(number).ok());
            *value = number.unwrap_or_default();
        }
        (7, _) => *value = [Value::Null, true.into(), Value::Array(Vec::new())][random.random_range(0..3)].clone(),
        _ => *value = from(other, random),
    }
}

fn token(random: &mut StdRng) -> String {
    (*TOKENS.choose(random).unwrap_or(&"")).to_owned()
}

/// A value of another document.
fn from(other: &Value, random: &mut StdRng) -> Value {
    let nth = random.random_range(0..count(other));
    node(&mut other.clone(), &mut { nth }).map(|value| value.take()).unwrap_or_default()
}

struct Writer {
    text: Vec<u8>,
    /// Values before the object that gets a member twice.
    twice: Option<usize>,
    /// Whether there is white space between tokens.
    spaces: bool,
}

impl Writer {
    fn write(&mut self, value: &Value, random: &mut StdRng) {
        let twice = self.twice == Some(0);
        self.twice = self.twice.and_then(|left| left.checked_sub(1));
        match value {
            Value::Object(members) => {
                self.mark(b'{', random);
                let chosen = if twice { random.random_range(0..members.len().max(1)) } else { usize::MAX };
                for (at, (name, member)) in members.iter().enumerate() {
                    if at > 0 {
                        self.mark(b',', random);
                    }
                    self.member(name, member, random);
                    if at == chosen {
                        self.mark(b',', random);
                        let second = if random.random() { member } else { &Value::Null };
                        self.member(name, second, random);
                    }
                }
                self.mark(b'}', random);
            }
            Value::Array(elements) => {
                self.mark(b'[', random);
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        self.mark(b',', random);
                    }
                    self.write(element, random);
                }
                self.mark(b']', random);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.text.extend_from_slice(value.to_string().as_bytes());
            }
        }
    }

    fn member(&mut self, name: &str, value: &Value, random: &mut StdRng) {
        let quoted = Value::from(name).to_string();
        match name.chars().next() {
            // Another spelling of the same name.
            Some(first) if first.is_ascii_alphanumeric() && random.random_ratio(1, 64) => {
                self.text.extend_from_slice(format!("\"\\u{:04x}{}", u32::from(first), &quoted[2..]).as_bytes());
            }
            Some(_) | None => self.text.extend_from_slice(quoted.as_bytes()),
        }
        self.mark(b':', random);
        self.write(value, random);
    }

    fn mark(&mut self, mark: u8, random: &mut impl Rng) {
        self.text.push(mark);
        if self.spaces && random.random() {
            self.text.push(b" \t\r\n"[random.random_range(0..4)]);
        }
    }
}
