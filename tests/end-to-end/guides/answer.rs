//! What was printed against what the guide shows, where `…` stands for what differs each time.

use serde_json::{Deserializer, Value};

use super::blocks::Expected;

/// What is wrong, if anything is.
pub fn compare(expected: Option<&Expected>, printed: &str) -> Option<String> {
    let (expected, fits) = match expected {
        None => ("nothing", printed.is_empty()),
        Some(Expected::Text(text)) => {
            (text.as_str(), stands_for(text.trim_end(), printed.replace('\r', "").trim_end()))
        }
        Some(Expected::Json(text)) => (text.as_str(), json_stands_for(text, printed)),
    };
    (!fits).then(|| format!("the guide shows\n{expected}"))
}

/// Each `…` stands for any text, also for none.
fn stands_for(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(found) = text.find(part) else { return false };
        text = &text[found + part.len()..];
    }
    text.ends_with(last)
}

/// The same documents, one after the other.
fn json_stands_for(pattern: &str, text: &str) -> bool {
    let documents = |text| Deserializer::from_str(text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
    let pattern = documents(pattern).expect("what a guide shows as JSON is JSON");
    documents(text).is_ok_and(|text| equal_or_stands_for(&pattern.into(), &text.into()))
}

/// A text `"…"` stands for any value.
fn equal_or_stands_for(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), _) if pattern == "…" => true,
        (Value::String(pattern), Value::String(text)) => stands_for(pattern, text),
        (Value::Array(pattern), Value::Array(values)) => {
            pattern.len() == values.len() && pattern.iter().zip(values).all(|(p, v)| equal_or_stands_for(p, v))
        }
        (Value::Object(pattern), Value::Object(fields)) => {
            let same = |(name, p)| fields.get(name).is_some_and(|v| equal_or_stands_for(p, v));
            pattern.len() == fields.len() && pattern.iter().all(same)
        }
        (pattern, value) => pattern == value,
    }
}

#[test]
fn what_differs_does_not_fit() {
    for (pattern, text) in [("a … c … e", "a b c d e"), ("…", ""), ("a…", "a\nb"), ("…c", "abc"), ("abc", "abc")]
    {
        assert!(stands_for(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("abc", "ab"), ("a…c", "abcd"), ("a…b…c", "ac"), ("ab…ba", "aba"), ("", "a")] {
        assert!(!stands_for(pattern, text), "{pattern} {text}");
    }
    let shown = r#"{"row":1,"id":"…"} {"list":["…",{"a":"b…"}]}"#;
    assert!(json_stands_for(shown, r#"{"id":7,"row":1}{"list":[null,{"a":"bc"}]}"#));
    for text in [
        "",
        r#"{"id":7,"row":1}"#,
        r#"{"id":7,"row":2}{"list":[null,{"a":"bc"}]}"#,
        r#"{"id":7,"row":1,"more":0}{"list":[null,{"a":"bc"}]}"#,
        r#"{"id":7,"row":1}{"list":[null,{"a":"c"}]}"#,
        r#"{"id":7,"row":1}{"list":[{"a":"bc"}]}"#,
    ] {
        assert!(!json_stands_for(shown, text), "{text}");
    }
}
