//! What the pages tell citizens about reasons and agencies: a TOML document of the deployment. It decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Colour;
use crate::plain_text::plain_text;
use crate::rules::Rules;

/// Length of a text, in characters: it has to fit a phone.
const MAX_TEXT: usize = 200;
/// Number of steps.
const MAX_STEPS: usize = 8;

/// A guidance document. `schema/rules/guidance.toml` explains each key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Guidance {
    /// The telephone number for all questions.
    pub hotline: String,
    /// Steps of a colour, for reasons without steps of their own.
    #[serde(default)]
    pub colours: BTreeMap<Colour, Steps>,
    /// By the name of a reason.
    #[serde(default)]
    pub reasons: BTreeMap<String, ReasonGuidance>,
    /// By the name of an agency in events.
    #[serde(default)]
    pub agencies: BTreeMap<String, AgencyGuidance>,
}

/// A reason.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonGuidance {
    /// What people call it.
    pub name: Text,
    /// What a person has to do whose colour this reason gives.
    #[serde(default)]
    pub steps: BTreeMap<Colour, Steps>,
}

/// An agency, as citizens know it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyGuidance {
    /// What people call it.
    pub name: Text,
    /// Its number for citizens; without one they call the hotline.
    pub telephone: Option<String>,
}

/// A text in both languages of the pages.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Steps in both languages, one for one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Chinese.
    pub zh: Vec<String>,
    /// English.
    pub en: Vec<String>,
}

/// A guidance document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuidanceError {
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("guidance: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// All values that cannot be shown, each with its key.
    #[error("guidance: {}", .0.join("; guidance: "))]
    Invalid(Vec<String>),
}

impl Guidance {
    /// The guidance that comes with yima.
    ///
    /// # Panics
    /// Never: a test reads the document that is compiled in.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../rules/guidance.toml")).expect("the built-in guidance is tested")
    }

    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first error of the document's form, or all values that cannot be shown.
    pub fn parse(text: &str) -> Result<Self, GuidanceError> {
        let guidance: Self = toml::from_str(text)?;
        let mut errors = Vec::new();
        check_text("hotline", &guidance.hotline, &mut errors);
        for (colour, steps) in &guidance.colours {
            steps.check(&format!("colours.{}", colour.as_str()), &mut errors);
        }
        for (reason, ReasonGuidance { name, steps }) in &guidance.reasons {
            name.check(&format!("reasons.{reason}.name"), &mut errors);
            for (colour, steps) in steps {
                steps.check(&format!("reasons.{reason}.steps.{}", colour.as_str()), &mut errors);
            }
        }
        for (agency, AgencyGuidance { name, telephone }) in &guidance.agencies {
            name.check(&format!("agencies.{agency}.name"), &mut errors);
            if let Some(telephone) = telephone {
                check_text(&format!("agencies.{agency}.telephone"), telephone, &mut errors);
            }
        }
        if errors.is_empty() { Ok(guidance) } else { Err(GuidanceError::Invalid(errors)) }
    }

    /// Reasons of these rules that have no name here: the pages show them as they are written there.
    pub fn unnamed<'a>(&self, rules: &'a Rules) -> Vec<&'a str> {
        let reasons = rules.assignment_reasons.keys().map(String::as_str);
        reasons.filter(|reason| !self.reasons.contains_key(*reason)).collect()
    }
}

impl Text {
    fn check(&self, key: &str, errors: &mut Vec<String>) {
        check_text(&format!("{key}.zh"), &self.zh, errors);
        check_text(&format!("{key}.en"), &self.en, errors);
    }
}

impl Steps {
    fn check(&self, key: &str, errors: &mut Vec<String>) {
        if self.zh.len() != self.en.len() || !(1..=MAX_STEPS).contains(&self.zh.len()) {
            errors.push(format!("{key}: expected 1 to {MAX_STEPS} steps, as many in zh as in en"));
        }
        for (lang, steps) in [("zh", &self.zh), ("en", &self.en)] {
            for (index, step) in steps.iter().enumerate() {
                check_text(&format!("{key}.{lang}[{index}]"), step, errors);
            }
        }
    }
}

fn check_text(key: &str, text: &str, errors: &mut Vec<String>) {
    if plain_text(text, MAX_TEXT).is_none() {
        errors.push(format!("{key}: expected 1 to {MAX_TEXT} visible characters on one line"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_guidance_names_every_reason_and_tells_what_to_do_at_every_restriction() {
        let (guidance, rules) = (Guidance::built_in(), Rules::built_in());
        assert_eq!(guidance.unnamed(&rules), Vec::<&str>::new());
        for reason in ["no_restriction", "positive_nucleic_acid", "positive_antigen", "deceased", "not_registered"] {
            assert!(guidance.reasons.contains_key(reason), "{reason}");
        }
        for colour in [Colour::Yellow, Colour::Red, Colour::None] {
            assert!(guidance.colours.contains_key(&colour));
        }
    }

    #[test]
    fn every_error_names_its_key() {
        let with = |from: &str, to: &str| {
            let text = include_str!("../rules/guidance.toml");
            assert!(text.contains(from), "{from}");
            Guidance::parse(&text.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(with("hotline", "hotlin").contains("hotlin"));
        assert!(with("[colours.none]", "[colours.blue]").contains("blue"));
        let missing = with("zh = [\"如有误，持有效证件到所在社区更正\"]", "zh = []");
        assert_eq!(missing, "guidance: reasons.deceased.steps.none: expected 1 to 8 steps, as many in zh as in en");
        let blank = with("zh = \"已注销\", en = \"Record closed\"", "zh = \" \", en = \"Record\\nclosed\"");
        assert!(blank.contains("reasons.deceased.name.zh: expected") && blank.contains("reasons.deceased.name.en"));
    }

    #[test]
    fn reasons_of_the_rules_without_a_name_are_found() {
        let rules = include_str!("../rules/default.toml").replace("released = ", "city_rule_7 = ");
        let rules = Rules::parse(&rules).unwrap();
        assert_eq!(Guidance::built_in().unnamed(&rules), ["city_rule_7"]);
    }
}
