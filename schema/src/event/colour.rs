//! The colours of a code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::named::named_enum;

named_enum! {
    /// The colour of a code, from least to most restrictive. The order of definition is stored: append only.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Colour {
        /// No restriction.
        Green => "green",
        /// Restricted.
        Yellow => "yellow",
        /// Quarantined.
        Red => "red",
        /// No code: the subject is not registered, or its code is closed.
        None => "none",
    }
}

named_enum! {
    /// The reasons for a colour that no agency assigns. Those for an assignment are data:
    /// [`Rules::assignment_reasons`](crate::rules::Rules::assignment_reasons).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum DerivedReason {
        /// Green: nothing restricts the subject.
        NoRestriction => "no_restriction",
        /// A positive nucleic-acid test.
        PositiveNucleicAcid => "positive_nucleic_acid",
        /// A positive antigen test.
        PositiveAntigen => "positive_antigen",
        /// None: the holder of the document is deceased.
        Deceased => "deceased",
        /// None: there is no event about the subject's health.
        NotRegistered => "not_registered",
    }
}

impl Colour {
    /// The colours that an agency may assign.
    pub const ASSIGNABLE: [Self; 3] = [Self::Green, Self::Yellow, Self::Red];

    /// Whether an agency may assign the colour; [`Self::ASSIGNABLE`] lists those.
    pub fn is_assignable(self) -> bool {
        match self {
            Self::Green | Self::Yellow | Self::Red => true,
            Self::None => false,
        }
    }

    /// Whether the colour restricts a subject that has a code.
    pub fn is_restriction(self) -> bool {
        match self {
            Self::Yellow | Self::Red => true,
            Self::Green | Self::None => false,
        }
    }

    /// The colour's number inside a code: never change one.
    pub(crate) fn code_number(self) -> i64 {
        match self {
            Self::Green => 0,
            Self::Yellow => 1,
            Self::Red => 2,
            Self::None => 3,
        }
    }

    /// Reads [`Self::code_number`].
    pub(crate) fn from_code_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|colour| colour.code_number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignable_lists_every_colour_that_may_be_assigned() {
        assert!(Colour::ALL.into_iter().filter(|colour| colour.is_assignable()).eq(Colour::ASSIGNABLE));
    }

    #[test]
    fn every_colour_has_its_own_number_in_a_code() {
        assert_eq!(Colour::ALL.map(Colour::code_number), [0, 1, 2, 3]);
        for colour in Colour::ALL {
            assert_eq!(Colour::from_code_number(colour.code_number()), Some(colour));
        }
        assert_eq!(Colour::from_code_number(4), None);
    }
}
