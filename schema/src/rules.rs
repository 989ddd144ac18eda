//! The rules by which events become a view: a versioned TOML document.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use serde::Deserialize;

use crate::event::{Colour, TestKind};
use crate::time::{DAY, HOUR, Time};

/// A rules document. `schema/rules/default.toml` explains each key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Raised with every change.
    pub version: u32,
    /// The disease.
    #[serde(default)]
    pub disease: DiseaseRules,
    /// The effect of tests.
    pub tests: TestRules,
    /// The part of the past that a view keeps.
    pub timeline: TimelineRules,
    /// The closed list of reasons for an assignment, each with the colours it may give.
    pub assignment_reasons: BTreeMap<String, BTreeSet<Colour>>,
    /// The doses of a complete vaccination.
    pub vaccination: VaccinationRules,
}

/// The disease.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiseaseRules {
    /// No test, dose or decision is older.
    pub since: Time,
}

/// For documents from before this table.
impl Default for DiseaseRules {
    fn default() -> Self {
        Self { since: Time::start_of(Date::constant(2019, 12, 1), 0) }
    }
}

/// The effect of tests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRules {
    /// Number of results of each kind that a view shows, newest first.
    pub shown: usize,
    /// The effect of a positive nucleic-acid test.
    pub positive_nucleic_acid: PositiveRule,
    /// The effect of a positive antigen test.
    pub positive_antigen: PositiveRule,
}

/// The effect of a positive test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositiveRule {
    /// The resulting colour.
    pub colour: Colour,
    lasts_h: u32,
    /// Number of later negative nucleic-acid tests that end it early.
    pub cleared_by_negatives: u32,
    negatives_apart_h: u32,
}

impl PositiveRule {
    /// How long the colour lasts.
    pub fn lasts(&self) -> Duration {
        HOUR * self.lasts_h
    }

    /// The minimum interval between the negatives that end it.
    pub fn negatives_apart(&self) -> Duration {
        HOUR * self.negatives_apart_h
    }
}

/// The part of the past that a view keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineRules {
    history_d: u32,
}

impl TimelineRules {
    /// Segments that ended longer than this before the subject's newest event are left out.
    pub fn history(&self) -> Duration {
        DAY * self.history_d
    }
}

/// The doses of a complete vaccination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaccinationRules {
    /// Doses of a complete course.
    pub complete_at_doses: u8,
    #[serde(default = "default_min_interval_d")]
    min_interval_d: u32,
    /// CVX codes of vaccines of which one dose is a course.
    pub single_dose: BTreeSet<String>,
    /// CVX codes of COVID-19 vaccines.
    pub covid_19: BTreeSet<String>,
}

/// For documents from before this key.
fn default_min_interval_d() -> u32 {
    14
}

impl VaccinationRules {
    /// The shortest time between two doses: nearer ones may be one dose, told twice.
    pub fn min_interval(&self) -> Duration {
        DAY * self.min_interval_d
    }
}

/// A rules document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("rules: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// A reason gives a colour that no agency may give.
    #[error("rules: assignment_reasons.{0}: expected one or more of {of}", of = names(Colour::is_assignable))]
    Colours(String),
    /// A positive test gives a colour that is not a restriction.
    #[error("rules: tests.{0}.colour: expected one of {of}", of = names(Colour::is_restriction))]
    PositiveColour(&'static str),
}

impl Rules {
    /// The rules that come with yima.
    ///
    /// # Panics
    /// Never: a test reads the document that is compiled in.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../rules/default.toml")).expect("the built-in rules are tested")
    }

    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first error, with its key.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text)?;
        for (reason, colours) in &rules.assignment_reasons {
            if colours.is_empty() || !colours.iter().all(|colour| colour.is_assignable()) {
                return Err(RulesError::Colours(reason.clone()));
            }
        }
        for (key, rule) in [
            ("positive_nucleic_acid", &rules.tests.positive_nucleic_acid),
            ("positive_antigen", &rules.tests.positive_antigen),
        ] {
            if !rule.colour.is_restriction() {
                return Err(RulesError::PositiveColour(key));
            }
        }
        Ok(rules)
    }

    /// The effect of a positive test of that kind.
    pub fn positive(&self, test: TestKind) -> &PositiveRule {
        match test {
            TestKind::NucleicAcid => &self.tests.positive_nucleic_acid,
            TestKind::Antigen => &self.tests.positive_antigen,
        }
    }
}

/// The names of the colours that `are`, for error messages.
fn names(are: fn(Colour) -> bool) -> String {
    Colour::ALL.into_iter().filter(|colour| are(*colour)).map(Colour::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_sound() {
        let rules = Rules::built_in();
        assert_eq!(rules.positive(TestKind::NucleicAcid).lasts(), DAY * 7);
        assert_eq!(rules.disease.since, DiseaseRules::default().since);
        assert_eq!(rules.vaccination.min_interval_d, default_min_interval_d());
        assert!(rules.vaccination.single_dose.is_subset(&rules.vaccination.covid_19));
    }

    #[test]
    fn an_error_names_the_key() {
        let with = |from: &str, to: &str| Rules::parse(&include_str!("../rules/default.toml").replacen(from, to, 1));
        let message = |r: Result<Rules, RulesError>| r.unwrap_err().to_string();
        let none = message(with("[\"green\"]", "[\"none\"]"));
        assert_eq!(none, "rules: assignment_reasons.released: expected one or more of green, yellow, red");
        assert!(message(with("colour = \"red\"", "colour = \"green\"")).contains("positive_nucleic_acid.colour"));
        assert!(message(with("shown = 3", "shwon = 3")).contains("shwon"));
    }
}
