//! The rules by which events become a view: a versioned TOML document.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use crate::event::{Colour, TestKind};
use crate::time::{DAY, HOUR};

/// A rules document. See `schema/rules/default.toml` for what each key means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Raised with each change.
    pub version: u32,
    /// What tests do.
    pub tests: TestRules,
    /// What of the past a view keeps.
    pub timeline: TimelineRules,
    /// Reasons that an agency may give, each with its colours.
    pub assignment_reasons: BTreeMap<String, BTreeSet<Colour>>,
    /// What counts as vaccinated.
    pub vaccination: VaccinationRules,
}

/// What tests do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRules {
    /// Results of each kind shown, newest first.
    pub shown: usize,
    /// What a positive nucleic-acid test does.
    pub positive_nucleic_acid: PositiveRule,
    /// What a positive antigen test does.
    pub positive_antigen: PositiveRule,
}

/// What a positive test does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositiveRule {
    /// The colour that it gives.
    pub colour: Colour,
    lasts_h: u32,
    /// Later negative nucleic-acid tests that end it early.
    pub cleared_by_negatives: u32,
    negatives_apart_h: u32,
}

impl PositiveRule {
    /// For how long it gives the colour.
    pub fn lasts(&self) -> Duration {
        HOUR * self.lasts_h
    }

    /// How far apart the clearing negatives have to be.
    pub fn negatives_apart(&self) -> Duration {
        HOUR * self.negatives_apart_h
    }
}

/// What of the past a view keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineRules {
    history_d: u32,
}

impl TimelineRules {
    /// Segments that ended so long before the newest event are left out.
    pub fn history(&self) -> Duration {
        DAY * self.history_d
    }
}

/// What counts as vaccinated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaccinationRules {
    /// Doses of a complete course.
    pub complete_at_doses: u8,
    /// CVX codes of vaccines of which one dose is a course.
    pub single_dose: BTreeSet<String>,
    /// CVX codes of COVID-19 vaccines.
    pub covid_19: BTreeSet<String>,
}

/// A rules document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("rules: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// A reason gives a colour that no agency may give.
    #[error("rules: assignment_reasons.{0}: expected one or more of green, yellow, red")]
    Colours(String),
    /// A positive test must give a restriction.
    #[error("rules: tests.{0}.colour: expected yellow or red")]
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
    /// The first fault, with its key.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text)?;
        for (reason, colours) in &rules.assignment_reasons {
            if colours.is_empty() || colours.contains(&Colour::None) {
                return Err(RulesError::Colours(reason.clone()));
            }
        }
        for (key, rule) in [
            ("positive_nucleic_acid", &rules.tests.positive_nucleic_acid),
            ("positive_antigen", &rules.tests.positive_antigen),
        ] {
            if !matches!(rule.colour, Colour::Yellow | Colour::Red) {
                return Err(RulesError::PositiveColour(key));
            }
        }
        Ok(rules)
    }

    /// What a positive test of that kind does.
    pub fn positive(&self, test: TestKind) -> &PositiveRule {
        match test {
            TestKind::NucleicAcid => &self.tests.positive_nucleic_acid,
            TestKind::Antigen => &self.tests.positive_antigen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_sound() {
        let rules = Rules::built_in();
        assert_eq!(rules.positive(TestKind::NucleicAcid).lasts(), DAY * 7);
        assert!(rules.vaccination.single_dose.is_subset(&rules.vaccination.covid_19));
    }

    #[test]
    fn faults_name_the_key() {
        let with = |from: &str, to: &str| Rules::parse(&include_str!("../rules/default.toml").replacen(from, to, 1));
        let message = |r: Result<Rules, RulesError>| r.unwrap_err().to_string();
        assert!(message(with("[\"green\"]", "[\"none\"]")).contains("assignment_reasons.released"));
        assert!(message(with("colour = \"red\"", "colour = \"green\"")).contains("positive_nucleic_acid.colour"));
        assert!(message(with("shown = 3", "shwon = 3")).contains("shwon"));
    }
}
