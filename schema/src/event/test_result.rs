//! Kinds of tests and their results.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::named::named_enum;

named_enum! {
    /// The kind of a test. The order of definition is stored: append only.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TestKind {
        /// Nucleic-acid amplification (PCR).
        NucleicAcid => "nucleic_acid",
        /// Antigen.
        Antigen => "antigen",
    }
}

named_enum! {
    /// The result of a test, in order of how much it restricts. The order of definition is stored: append only.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum TestOutcome {
        /// Not detected.
        Negative => "negative",
        /// The sample could not be tested. Changes no colour.
        Invalid => "invalid",
        /// Neither detected nor excluded. Changes no colour.
        Inconclusive => "inconclusive",
        /// Detected.
        Positive => "positive",
    }
}

impl TestOutcome {
    /// Whether the result says that something was found, or was not.
    pub fn is_conclusive(self) -> bool {
        match self {
            Self::Negative | Self::Positive => true,
            Self::Invalid | Self::Inconclusive => false,
        }
    }

    /// The result's number inside a code: never change one.
    pub(crate) fn code_number(self) -> i64 {
        match self {
            Self::Negative => 0,
            Self::Positive => 1,
            Self::Inconclusive => 2,
            Self::Invalid => 3,
        }
    }

    /// Reads [`Self::code_number`].
    pub(crate) fn from_code_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code_number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_number_in_a_code() {
        assert_eq!(TestOutcome::ALL.map(TestOutcome::code_number), [0, 3, 2, 1]);
        for outcome in TestOutcome::ALL {
            assert_eq!(TestOutcome::from_code_number(outcome.code_number()), Some(outcome));
        }
        assert_eq!(TestOutcome::from_code_number(4), None);
    }
}
