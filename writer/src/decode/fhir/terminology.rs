//! The codes that are understood: data in `writer/terminology/`, built into the program and parsed once.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::de::{DeserializeOwned, IgnoredAny};
use yima_schema::event::{TestKind, TestOutcome};
use yima_schema::subject::DocumentType;

/// Code system of tests.
pub(super) const LOINC: &str = "http://loinc.org";
/// Code system of results.
pub(super) const SNOMED_CT: &str = "http://snomed.info/sct";

/// LOINC code → kind of test.
pub(super) static TESTS: LazyLock<BTreeMap<String, TestKind>> =
    LazyLock::new(|| by_code(include_str!("../../../terminology/loinc-tests.toml")));

/// SNOMED CT code → result.
pub(super) static RESULTS: LazyLock<BTreeMap<String, TestOutcome>> =
    LazyLock::new(|| by_code(include_str!("../../../terminology/snomed-results.toml")));

/// Systems of Identifiers, by document type.
static SYSTEMS: LazyLock<HashMap<DocumentType, BTreeMap<String, IgnoredAny>>> = LazyLock::new(|| {
    let file = include_str!("../../../terminology/identifier-systems.toml");
    toml::from_str(file).expect("a test parses the built-in terminology")
});

/// The type of documents whose numbers have the Identifier system `system`.
pub(super) fn document_type(system: &str) -> Option<DocumentType> {
    let matches = |known: &String| match known.strip_suffix('*') {
        Some(start) => {
            let country = system.strip_prefix(start);
            country.is_some_and(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic()))
        }
        None => known == system,
    };
    SYSTEMS.iter().find(|(_, systems)| systems.keys().any(matches)).map(|(kind, _)| *kind)
}

/// Parses a file that has a table for each meaning, with the codes and their names.
fn by_code<T: Copy + Ord + DeserializeOwned>(file: &str) -> BTreeMap<String, T> {
    let meanings: BTreeMap<T, BTreeMap<String, IgnoredAny>> =
        toml::from_str(file).expect("a test parses the built-in terminology");
    meanings.into_iter().flat_map(|(meaning, codes)| codes.into_keys().map(move |code| (code, meaning))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_meaning() {
        assert_eq!(TESTS["94500-6"], TestKind::NucleicAcid);
        assert_eq!(TESTS["94558-4"], TestKind::Antigen);
        assert_eq!(RESULTS["260373001"], TestOutcome::Positive);
        assert_eq!(RESULTS["260415000"], TestOutcome::Negative);
        let passport = "http://hl7.org/fhir/sid/passport-";
        assert_eq!(document_type("urn:oid:2.16.156.10011.1.3"), Some(DocumentType::CnResidentId));
        assert_eq!(document_type(&format!("{passport}CHN")), Some(DocumentType::Passport));
        for system in ["urn:oid:2.16.156.10011.1", &format!("{passport}*"), &format!("{passport}CHN2"), passport] {
            assert_eq!(document_type(system), None, "{system}");
        }
        assert_eq!(RESULTS["720735008"], TestOutcome::Positive);
        assert_eq!(RESULTS["2667000"], TestOutcome::Negative);
        assert!(TESTS.len() >= 13 && RESULTS.len() >= 14, "a code under two meanings is counted once");
    }
}
