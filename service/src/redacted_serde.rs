//! Redacts serde's error messages, which repeat the value: they keep only the form that was expected.

/// Reduces a serde message to the form that was expected. Messages of our own types pass when they begin with `expected
/// ` or `not `, which by convention never repeat a value; of any other message only remains that the value has another
/// form.
pub(crate) fn redact(message: &str) -> String {
    // serde_json appends the position.
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    if message.starts_with("missing field `") {
        return "is required".to_owned();
    }
    if message.starts_with("duplicate field `") {
        return "expected only once".to_owned();
    }
    let ours = message.starts_with("expected ") || message.starts_with("not ");
    let serde = ["invalid type: ", "invalid value: ", "invalid length ", "unknown field `", "unknown variant `"];
    if ours {
        message.to_owned()
    } else if serde.iter().any(|start| message.starts_with(start)) {
        // The last one: a submitted text may itself contain ", expected ".
        let form = message.rfind(", expected ").map_or("another value", |at| &message[at + ", expected ".len()..]);
        let known = if message.starts_with("unknown field `") { "a known field: " } else { "" };
        format!("expected {known}{}", in_words(form))
    } else {
        "expected a value of another form".to_owned()
    }
}

/// The field that a `missing field` message names: one of our own names.
pub(crate) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// Names of Rust's types, in words.
fn in_words(form: &str) -> &str {
    match form {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more, within the field's range",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number within the field's range",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "there are no fields" => "none at all",
        other if other.starts_with("a nonzero") => "a whole number, 1 or more",
        other if other.starts_with("struct ") || other.starts_with("internally tagged") => "an object with fields",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submitted_value_is_never_repeated() {
        assert_eq!(
            redact("invalid type: string \"hunter2, expected x\", expected u64 at line 1 column 9"),
            "expected a whole number, 0 or more, within the field's range"
        );
        assert_eq!(redact("unknown variant `hunter2`, expected `a` or `b`"), "expected `a` or `b`");
        assert_eq!(redact("unknown field `hunter2`, expected `a` or `b`"), "expected a known field: `a` or `b`");
        assert_eq!(redact("hunter2 is not a port"), "expected a value of another form");
        assert_eq!(redact("expected a time as RFC 3339 writes it"), "expected a time as RFC 3339 writes it");
        assert_eq!(missing_field("missing field `data` at line 1 column 2"), Some("data"));
    }
}
