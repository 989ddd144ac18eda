//! CBOR (RFC 8949) of unknown origin.

use ciborium::Value;

use crate::Refusal;

/// Deepest nesting. An EU certificate has 6 levels.
const MAX_DEPTH: usize = 16;
/// Most entries of a map. An EU certificate has up to 12.
const MAX_ENTRIES: usize = 64;
/// The tag of a date and time as text (section 3.4.1).
const DATE_TIME: u64 = 0;

/// One item and nothing after it, nested no deeper than [`MAX_DEPTH`], with integers and texts as keys, none twice. The
/// tag of a date is dropped: some issuers write it.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, Refusal> {
    let mut rest = bytes;
    let read = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH);
    let value = read.map_err(|_| Refusal::Malformed)?;
    if rest.is_empty() { sound(value) } else { Err(Refusal::Malformed) }
}

fn sound(value: Value) -> Result<Value, Refusal> {
    if value.is_map() {
        let entries = value.into_map().unwrap_or_default();
        let repeats = |(at, (key, _)): (usize, &(Value, Value))| entries[..at].iter().any(|(other, _)| other == key);
        let is_usual = |(key, _): &(Value, Value)| key.is_integer() || key.is_text();
        if entries.len() > MAX_ENTRIES || entries.iter().enumerate().any(repeats) || !entries.iter().all(is_usual) {
            return Err(Refusal::Malformed);
        }
        let entries = entries.into_iter().map(|(key, value)| Ok((key, sound(value)?)));
        return Ok(Value::Map(entries.collect::<Result<_, _>>()?));
    }
    if value.is_array() {
        let items = value.into_array().unwrap_or_default().into_iter().map(sound);
        return Ok(Value::Array(items.collect::<Result<_, _>>()?));
    }
    match value.into_tag() {
        Ok((DATE_TIME, text)) if text.is_text() => Ok(*text),
        Ok((tag, inner)) => Ok(Value::Tag(tag, Box::new(sound(*inner)?))),
        // Without items of its own.
        Err(leaf) => Ok(leaf),
    }
}

/// The value of a key in a map.
pub(crate) fn get(map: &Value, key: i64) -> Option<&Value> {
    let entries = map.as_map()?;
    entries.iter().find(|(name, _)| *name == Value::from(key)).map(|(_, value)| value)
}

/// A CBOR Web Token's `NumericDate` (RFC 8392 section 2), in seconds.
pub(crate) fn numeric_date(value: &Value) -> Option<f64> {
    let whole = value.as_integer().and_then(|seconds| i64::try_from(seconds).ok());
    whole.map(|seconds| seconds as f64).or_else(|| value.as_float())
}
