//! Reads the code and the result of an Observation, or of one of its components.

use serde_json::Value;
use yima_schema::event::{TestKind, TestOutcome};

use super::super::codes::{Codes, LOINC, TestCode};
use super::{RowError, invalid, text};

/// The meaning of `code`.
pub(super) enum Coded {
    /// A test whose results count.
    Test(TestKind),
    /// A test for something else, or one whose results do not count.
    NotCounted,
    /// A code with no known meaning: it may be a test for SARS-CoV-2.
    Unknown,
}

/// What is known of a result.
pub(super) enum Reading {
    /// The result.
    Outcome(TestOutcome),
    /// The resource says that there is none.
    Absent,
    /// There is neither a result nor a reason why not.
    Missing,
    /// There is one that is not understood.
    NotUnderstood,
}

/// System and code of the codings at `pointer`, which is a `CodeableConcept` or a list of them.
fn codings<'a>(node: &'a Value, element: &str) -> Vec<(&'a str, &'a str)> {
    let coding = |coding: &'a Value| Some((text(coding, "/system")?, text(coding, "/code")?));
    concepts(node, element)
        .filter_map(|concept| concept.get("coding")?.as_array())
        .flatten()
        .filter_map(coding)
        .collect()
}

fn concepts<'a>(node: &'a Value, element: &str) -> impl Iterator<Item = &'a Value> {
    let value = node.get(element);
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().chain(value.filter(|value| value.is_object()))
}

/// The meaning of the code of `node`, an Observation or a component at `at`.
pub(super) fn coded(node: &Value, at: &str, codes: &Codes) -> Result<Coded, RowError> {
    let codings = codings(node, "code");
    let known = codings.iter().filter_map(|(system, code)| codes.test(system, code));
    match agreed(known, &format!("{at}/code/coding"))? {
        Some(TestCode::Counted(kind)) => return Ok(Coded::Test(kind)),
        Some(TestCode::NotCounted) => return Ok(Coded::NotCounted),
        None => {}
    }
    let mut loinc = codings.iter().filter(|(system, _)| *system == LOINC).peekable();
    let is_older = loinc.peek().is_some() && loinc.all(|(system, code)| codes.is_older_than_the_disease(system, code));
    Ok(if is_older && !words(node, &["code"]).iter().any(|word| names_the_disease(word)) {
        Coded::NotCounted
    } else {
        Coded::Unknown
    })
}

/// The first LOINC code of an Observation, as a metric may have it.
pub(super) fn loinc_code(resource: &Value) -> Option<&str> {
    let is_loinc = |code: &str| {
        let (number, check) = code.split_once('-').unwrap_or_default();
        let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        (1..=7).contains(&number.len()) && check.len() == 1 && are_digits(number) && are_digits(check)
    };
    codings(resource, "code")
        .into_iter()
        .find(|(system, code)| *system == LOINC && is_loinc(code))
        .map(|(_, code)| code)
}

/// The result of `node`, an Observation or a component at `at`: of its value, else of its interpretation.
pub(super) fn result(node: &Value, at: &str, codes: &Codes) -> Result<Reading, RowError> {
    let meaning = |element: &str| {
        let codings = codings(node, element);
        let known = codings.into_iter().filter_map(|(system, code)| codes.result(system, code));
        agreed(known, &format!("{at}/{element}/coding"))
    };
    let (value, interpreted) = (meaning("valueCodeableConcept")?, meaning("interpretation")?);
    let has_value = node.as_object().into_iter().flatten().any(|(key, _)| key.starts_with("value"));
    let is_absent = node.get("dataAbsentReason").is_some();
    if has_value && is_absent {
        return Err(invalid(&format!("{at}/dataAbsentReason"), "expected none beside a value (obs-6)"));
    }
    let is_conclusive = |outcome| matches!(outcome, TestOutcome::Positive | TestOutcome::Negative);
    let contradicts = match (value, interpreted) {
        (Some(value), Some(interpreted)) => {
            value != interpreted && (is_conclusive(value) || is_conclusive(interpreted))
        }
        (None, Some(interpreted)) => is_absent && is_conclusive(interpreted),
        (_, None) => false,
    };
    if contradicts {
        return Err(invalid(
            &format!("{at}/interpretation"),
            "expected an interpretation that says the same as the value",
        ));
    }
    Ok(match value.or(interpreted) {
        Some(outcome) => Reading::Outcome(outcome),
        None if has_value => Reading::NotUnderstood,
        None if is_absent => Reading::Absent,
        None => Reading::Missing,
    })
}

/// Whether the result of `node` is positive by its codes or its words; `None` if neither says anything.
pub(super) fn is_positive(node: &Value, codes: &Codes) -> Option<bool> {
    let of = ["valueCodeableConcept", "interpretation"];
    let outcomes = of.iter().flat_map(|element| codings(node, element));
    let outcomes: Vec<_> = outcomes.filter_map(|(system, code)| codes.result(system, code)).collect();
    if !outcomes.is_empty() {
        return Some(outcomes.contains(&TestOutcome::Positive));
    }
    let words = words(node, &of);
    let texts = words.iter().map(String::as_str);
    let says = |list: &[&str]| texts.clone().any(|text| list.iter().any(|word| text.contains(word)));
    if says(&NEGATIVE) {
        return Some(false);
    }
    (says(&POSITIVE) || node.get("valueBoolean") == Some(&Value::Bool(true))).then_some(true)
}

/// Words of a negative result. `detected` is in `not detected`, so they are looked for first.
const NEGATIVE: [&str; 9] =
    ["negative", "not detected", "undetected", "non-reactive", "nonreactive", "non reactive", "absent", "阴", "未检出"];
/// Words of a positive result.
const POSITIVE: [&str; 6] = ["positive", "detected", "reactive", "present", "阳", "检出"];

fn names_the_disease(word: &str) -> bool {
    ["sars", "covid", "ncov", "coronavirus", "新冠", "新型冠状"].iter().any(|name| word.contains(name))
}

/// The words of CodeableConcepts and of `valueString`, in lower case.
fn words(node: &Value, elements: &[&str]) -> Vec<String> {
    let of_concept = |concept: &Value| {
        let codings = concept.get("coding").and_then(Value::as_array).into_iter().flatten();
        codings
            .map(|coding| text(coding, "/display"))
            .chain([text(concept, "/text")])
            .flatten()
            .map(str::to_lowercase)
            .collect::<Vec<_>>()
    };
    let concepts = elements.iter().flat_map(|element| concepts(node, element).flat_map(of_concept));
    let in_words = if elements.contains(&"code") { None } else { text(node, "/valueString").map(str::to_lowercase) };
    concepts.chain(in_words).collect()
}

/// The meaning of several codings, which have to agree; `None` without codings.
fn agreed<T: PartialEq>(mut meanings: impl Iterator<Item = T>, pointer: &str) -> Result<Option<T>, RowError> {
    let Some(first) = meanings.next() else { return Ok(None) };
    if meanings.all(|other| other == first) {
        Ok(Some(first))
    } else {
        Err(invalid(pointer, "expected codings that say the same"))
    }
}
