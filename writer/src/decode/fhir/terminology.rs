//! The Identifier systems that are understood: data in `writer/terminology/`, built into the program and parsed once.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::de::IgnoredAny;
use yima_schema::subject::DocumentType;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_one_of_documents_only_as_a_whole() {
        let passport = "http://hl7.org/fhir/sid/passport-";
        assert_eq!(document_type("urn:oid:2.16.156.10011.1.3"), Some(DocumentType::CnResidentId));
        assert_eq!(document_type(&format!("{passport}CHN")), Some(DocumentType::Passport));
        for system in ["urn:oid:2.16.156.10011.1", &format!("{passport}*"), &format!("{passport}CHN2"), passport] {
            assert_eq!(document_type(system), None, "{system}");
        }
    }
}
