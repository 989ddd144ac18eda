//! Compares printed output with a guide's, in which `…` is a wildcard.

use serde_json::{Deserializer, Value};

use super::blocks::Expected;

/// The difference; `None` if the output matches.
pub fn compare(expected: Option<&Expected>, printed: &str) -> Option<String> {
    let (expected, matches) = match expected {
        None => ("nothing", printed.is_empty()),
        Some(Expected::Text(text)) => {
            (text.as_str(), text_matches(text.trim_end(), printed.replace('\r', "").trim_end()))
        }
        Some(Expected::Json(text)) => (text.as_str(), json_matches(text, printed)),
    };
    (!matches).then(|| format!("the guide shows\n{expected}"))
}

/// Each `…` matches any text, also none.
fn text_matches(pattern: &str, text: &str) -> bool {
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

/// The same JSON documents in the same order.
fn json_matches(pattern: &str, text: &str) -> bool {
    let documents = |text| Deserializer::from_str(text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
    let pattern = documents(pattern).expect("a guide's JSON block is JSON");
    documents(text).is_ok_and(|text| value_matches(&pattern.into(), &text.into()))
}

/// The text `"…"` matches any value, and at the end of a list any number of them.
fn value_matches(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), _) if pattern == "…" => true,
        (Value::String(pattern), Value::String(text)) => text_matches(pattern, text),
        (Value::Array(pattern), Value::Array(values)) => {
            let (pattern, values) = match pattern.as_slice() {
                [first @ .., Value::String(rest)] if rest == "…" => (first, values.get(..first.len())),
                all => (all, Some(values.as_slice())),
            };
            let same = |values: &[Value]| pattern.iter().zip(values).all(|(p, v)| value_matches(p, v));
            values.is_some_and(|values| pattern.len() == values.len() && same(values))
        }
        (Value::Object(pattern), Value::Object(fields)) => {
            let same = |(name, p)| fields.get(name).is_some_and(|v| value_matches(p, v));
            pattern.len() == fields.len() && pattern.iter().all(same)
        }
        (pattern, value) => pattern == value,
    }
}

#[test]
fn a_wildcard_matches_and_a_difference_does_not() {
    for (pattern, text) in [("a … c … e", "a b c d e"), ("…", ""), ("a…", "a\nb"), ("…c", "abc"), ("abc", "abc")]
    {
        assert!(text_matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("abc", "ab"), ("a…c", "abcd"), ("a…b…c", "ac"), ("ab…ba", "aba"), ("", "a")] {
        assert!(!text_matches(pattern, text), "{pattern} {text}");
    }
    let shown = r#"{"row":1,"id":"…"} {"list":["…",{"a":"b…"}]}"#;
    assert!(json_matches(shown, r#"{"id":7,"row":1}{"list":[null,{"a":"bc"}]}"#));
    for list in ["[1]", "[1,2]", "[1,{},3]"] {
        assert!(json_matches(r#"[1,"…"]"#, list), "{list}");
    }
    for list in ["[]", "[2]", "[2,1]"] {
        assert!(!json_matches(r#"[1,"…"]"#, list), "{list}");
    }
    for text in [
        "",
        r#"{"id":7,"row":1}"#,
        r#"{"id":7,"row":2}{"list":[null,{"a":"bc"}]}"#,
        r#"{"id":7,"row":1,"more":0}{"list":[null,{"a":"bc"}]}"#,
        r#"{"id":7,"row":1}{"list":[null,{"a":"c"}]}"#,
        r#"{"id":7,"row":1}{"list":[{"a":"bc"}]}"#,
    ] {
        assert!(!json_matches(shown, text), "{text}");
    }
}
