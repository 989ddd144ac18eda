//! The codes by which a row is a test result: data (`writer/terminology/codes.toml`), which a file of the operator
//! extends while the process runs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use yima_schema::event::{TestKind, TestOutcome};
use yima_service::config::{self, Checks, ConfigErrors};

/// Code system of tests.
pub(super) const LOINC: &str = "http://loinc.org";
/// Code system of results.
pub(super) const SNOMED_CT: &str = "http://snomed.info/sct";

/// The meaning of a test's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TestCode {
    /// A test whose results count.
    Counted(TestKind),
    /// A test whose results say nothing about an infection of one person now.
    NotCounted,
}

/// The codes in force.
#[derive(Clone, Debug)]
pub struct Codes {
    /// By system and code.
    tests: HashMap<String, TestCode>,
    results: HashMap<String, TestOutcome>,
    first_loinc_number: u32,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    first_loinc_number: Option<u32>,
    tests: Tests,
    results: Results,
}

/// Codes with their names.
type Names = BTreeMap<String, String>;

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tests {
    nucleic_acid: Names,
    antigen: Names,
    not_counted: Names,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Results {
    positive: Names,
    negative: Names,
    inconclusive: Names,
    invalid: Names,
}

impl Document {
    fn tests(&self) -> Vec<(String, TestCode)> {
        let Tests { nucleic_acid, antigen, not_counted } = &self.tests;
        let meanings = [
            (nucleic_acid, TestCode::Counted(TestKind::NucleicAcid)),
            (antigen, TestCode::Counted(TestKind::Antigen)),
            (not_counted, TestCode::NotCounted),
        ];
        by_code(&meanings, LOINC)
    }

    fn results(&self) -> Vec<(String, TestOutcome)> {
        let Results { positive, negative, inconclusive, invalid } = &self.results;
        let meanings = [
            (positive, TestOutcome::Positive),
            (negative, TestOutcome::Negative),
            (inconclusive, TestOutcome::Inconclusive),
            (invalid, TestOutcome::Invalid),
        ];
        by_code(&meanings, SNOMED_CT)
    }

    fn check(&self, checks: &mut Checks<'_>) {
        let once = "expected each code under one meaning";
        checks.expect(are_unique(&self.tests()), "tests", &[], once);
        checks.expect(are_unique(&self.results()), "results", &[], once);
    }
}

/// Every code, as `system|code`, with its meaning.
fn by_code<T: Copy>(meanings: &[(&Names, T)], system: &str) -> Vec<(String, T)> {
    let full = |code: &String| if code.contains('|') { code.clone() } else { key(system, code) };
    meanings.iter().flat_map(|(names, meaning)| names.keys().map(move |code| (full(code), *meaning))).collect()
}

fn are_unique<T>(codes: &[(String, T)]) -> bool {
    codes.iter().map(|(code, _)| code).collect::<std::collections::BTreeSet<_>>().len() == codes.len()
}

fn key(system: &str, code: &str) -> String {
    format!("{system}|{code}")
}

impl Codes {
    /// The codes that come with yima.
    ///
    /// # Panics
    /// Never: a test reads the document that is compiled in.
    pub fn built_in() -> Self {
        let document: Document =
            toml::from_str(include_str!("../../terminology/codes.toml")).expect("a test parses the built-in codes");
        let first_loinc_number = document.first_loinc_number.unwrap_or_default();
        let (tests, results) = (document.tests(), document.results());
        Self { tests: tests.into_iter().collect(), results: results.into_iter().collect(), first_loinc_number }
    }

    /// The built-in codes, and those of a file over them; waits for the file system.
    ///
    /// # Errors
    /// All errors of the file.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        let document = config::load_checked::<Document>("", file, [], Document::check)?;
        let mut codes = Self::built_in();
        codes.tests.extend(document.tests());
        codes.results.extend(document.results());
        codes.first_loinc_number = document.first_loinc_number.unwrap_or(codes.first_loinc_number);
        Ok(codes)
    }

    pub(super) fn test(&self, system: &str, code: &str) -> Option<TestCode> {
        self.tests.get(&key(system, code)).copied()
    }

    pub(super) fn result(&self, system: &str, code: &str) -> Option<TestOutcome> {
        self.results.get(&key(system, code)).copied()
    }

    /// Whether LOINC had the code before the first test for SARS-CoV-2 existed.
    pub(super) fn is_older_than_the_disease(&self, system: &str, code: &str) -> bool {
        let number = code.split('-').next().and_then(|number| number.parse::<u32>().ok());
        system == LOINC && number.is_some_and(|number| number < self.first_loinc_number)
    }

    /// The SNOMED CT codes of results, for an error message.
    pub(super) fn snomed_results(&self) -> String {
        let codes = self.results.keys().filter_map(|key| key.strip_prefix(SNOMED_CT)?.strip_prefix('|'));
        let mut codes: Vec<_> = codes.collect();
        codes.sort_unstable();
        codes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Codes, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Codes::load(Some(file.path())).map_err(|errors| errors.to_string())
    }

    #[test]
    fn each_built_in_code_has_one_meaning() {
        let document: Document = toml::from_str(include_str!("../../terminology/codes.toml")).unwrap();
        assert!(are_unique(&document.tests()) && are_unique(&document.results()));
        let codes = Codes::built_in();
        let test = |code: &str| codes.test(LOINC, code);
        for code in ["94500-6", "95409-9", "94534-5", "94531-1"] {
            assert_eq!(test(code), Some(TestCode::Counted(TestKind::NucleicAcid)), "{code}");
        }
        assert_eq!(test("94558-4"), Some(TestCode::Counted(TestKind::Antigen)));
        assert_eq!(test("94563-4"), Some(TestCode::NotCounted));
        assert_eq!(codes.result(SNOMED_CT, "260373001"), Some(TestOutcome::Positive));
        assert_eq!(codes.result(LOINC, "LA11883-8"), Some(TestOutcome::Negative));
        assert_eq!(codes.result("urn:lab", "260373001"), None);
        assert!(codes.is_older_than_the_disease(LOINC, "2093-3"));
        assert!(!codes.is_older_than_the_disease(LOINC, "94306-8") && !codes.is_older_than_the_disease("x", "1-1"));
    }

    #[test]
    fn a_file_adds_codes_and_changes_meanings() {
        let codes = load(
            "[tests.antigen]\n\"urn:lab|AG\" = \"own\"\n[tests.not_counted]\n\"94500-6\" = \"pool\"\n\
             [results.positive]\n\"urn:lab|+\" = \"own\"\n",
        );
        let codes = codes.unwrap();
        assert_eq!(codes.test("urn:lab", "AG"), Some(TestCode::Counted(TestKind::Antigen)));
        assert_eq!(codes.test(LOINC, "94500-6"), Some(TestCode::NotCounted));
        assert_eq!(codes.test(LOINC, "94309-2"), Some(TestCode::Counted(TestKind::NucleicAcid)));
        assert_eq!(codes.result("urn:lab", "+"), Some(TestOutcome::Positive));
    }

    #[test]
    fn a_file_with_an_error_is_refused() {
        let twice = load("[tests.antigen]\n\"1-8\" = \"a\"\n[tests.nucleic_acid]\n\"1-8\" = \"b\"\n").unwrap_err();
        assert!(twice.contains("tests: expected each code under one meaning"), "{twice}");
        assert!(load("[test]\n").unwrap_err().contains("test: expected a known field"));
        assert!(load("[results.maybe]\n").is_err());
    }
}
