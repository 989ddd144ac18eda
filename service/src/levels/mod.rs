//! Levels of degradation: what an overloaded node leaves out, in a fixed order, so that what matters most goes on
//! (`docs/levels.md`).

mod class;
mod control;
mod ladder;

pub use class::Class;
pub use control::{ByHand, ByHandError, Levels, LevelsConfig};
pub use ladder::{Ladder, Measured, Pace};

/// A level, named for what it leaves out beyond the one below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Level {
    /// Nothing is left out.
    #[default]
    Normal,
    /// Live displays: their pages poll.
    LiveDisplays,
    /// Histories.
    Histories,
    /// Look-ups by identity document, and whatever can be done on another day.
    Documents,
    /// Tokens for phones that have some left, which go on making their codes of these.
    OwnCodes,
    /// The usual pace of pages.
    Pace,
    /// The field `vaccination`.
    Vaccination,
    /// The field `tests`: what is left is the first version's display, identity and colour.
    Tests,
    /// Everything but scans. Only set by hand: without displays there is little to scan.
    Displays,
}

impl Level {
    /// Every level, in order.
    pub const ALL: [Self; 9] = [
        Self::Normal,
        Self::LiveDisplays,
        Self::Histories,
        Self::Documents,
        Self::OwnCodes,
        Self::Pace,
        Self::Vaccination,
        Self::Tests,
        Self::Displays,
    ];

    /// From 0 to 8.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The level of a number; `None` above 8.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether this level, or one below it, leaves out what `what` is named for.
    pub fn leaves_out(self, what: Self) -> bool {
        self >= what
    }

    /// As operators see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::LiveDisplays => "no live displays",
            Self::Histories => "no histories",
            Self::Documents => "no look-ups by document",
            Self::OwnCodes => "no tokens for phones that have some left",
            Self::Pace => "pages ask less often",
            Self::Vaccination => "no vaccination",
            Self::Tests => "no tests: identity and colour only",
            Self::Displays => "scans only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbered_in_order() {
        for (number, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(level.number()), Level::of(level.number())), (number, Some(level)));
        }
        assert_eq!(Level::of(9), None);
        assert!(Level::ALL.is_sorted() && Level::Normal == Level::default());
    }
}
