//! Classes of routes: who is refused first.

use super::Level;

/// The class of a route, the first to be refused first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// A live display: the page can poll instead.
    LiveDisplay,
    /// What was decided before.
    History,
    /// What can be done on another day: phones and guardians to be added or listed, prints.
    Errand,
    /// Tests and vaccination on their own, for who asks for them.
    Results,
    /// Pages and documents that are the same for everybody, which caches keep.
    Public,
    /// What a person needs to show a code at all: sign-in, code, tokens. Also all that takes rights away, such as a
    /// sign-out.
    Code,
    /// A display.
    Display,
    /// A scan.
    Scan,
}

impl Class {
    /// Every class, in order.
    pub const ALL: [Self; 8] = [
        Self::LiveDisplay,
        Self::History,
        Self::Errand,
        Self::Results,
        Self::Public,
        Self::Code,
        Self::Display,
        Self::Scan,
    ];

    /// In metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::LiveDisplay => "live_display",
            Self::History => "history",
            Self::Errand => "errand",
            Self::Results => "results",
            Self::Public => "public",
            Self::Code => "code",
            Self::Display => "display",
            Self::Scan => "scan",
        }
    }

    /// The lowest level that refuses the whole class.
    pub fn refused_from(self) -> Option<Level> {
        match self {
            Self::LiveDisplay => Some(Level::LiveDisplays),
            Self::History => Some(Level::Histories),
            Self::Errand => Some(Level::Documents),
            Self::Results | Self::Code | Self::Display => Some(Level::Displays),
            Self::Public | Self::Scan => None,
        }
    }

    /// Whether a level refuses the whole class.
    pub fn is_refused_at(self, level: Level) -> bool {
        self.refused_from().is_some_and(|from| level.leaves_out(from))
    }

    /// Seconds after which a request that a level refuses may come again; up to as much is added at random.
    pub fn return_after_s(self) -> u32 {
        match self {
            Self::LiveDisplay | Self::History | Self::Errand => 30,
            Self::Results | Self::Public | Self::Code | Self::Display | Self::Scan => 10,
        }
    }

    /// The part of `most` places that requests of this class may take together with all others: the rest is for
    /// classes of a higher rank. At least one.
    pub fn share_of(self, most: usize) -> usize {
        let eighths = match self {
            Self::LiveDisplay | Self::History | Self::Errand | Self::Results => 4,
            Self::Public => 5,
            Self::Code => 6,
            Self::Display => 7,
            Self::Scan => 8,
        };
        (most.saturating_mul(eighths) / 8).max(1)
    }

    /// Whether most of the class' requests are answered at once, without a place among those that wait. Such a request
    /// is refused only when it would have to wait.
    pub fn is_usually_answered_at_once(self) -> bool {
        match self {
            Self::Public | Self::Code | Self::Display | Self::Scan => true,
            Self::LiveDisplay | Self::History | Self::Errand | Self::Results => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_lower_rank_is_refused_at_no_higher_level_and_gets_no_larger_share() {
        let usual = Class::ALL.into_iter().filter(|class| *class != Class::Public);
        let from: Vec<_> = usual.map(|class| class.refused_from().map_or(u8::MAX, Level::number)).collect();
        assert!(from.is_sorted(), "{from:?}");
        for most in [1, 2, 7, 64, 1_024, usize::MAX / 8] {
            let shares: Vec<_> = Class::ALL.into_iter().map(|class| class.share_of(most)).collect();
            assert!(shares.is_sorted() && shares[0] >= 1 && shares.last() == Some(&most), "{shares:?}");
        }
        assert!(Class::ALL.is_sorted());
    }

    #[test]
    fn scans_and_pages_are_refused_at_no_level_and_displays_only_at_the_last() {
        let refused = |level: Level| Class::ALL.into_iter().filter(|class| class.is_refused_at(level)).count();
        assert_eq!(Level::ALL.map(refused), [0, 1, 2, 3, 3, 3, 3, 3, 6]);
        assert!(Class::Display.is_refused_at(Level::Displays) && !Class::Display.is_refused_at(Level::Tests));
        assert!(!Class::Scan.is_refused_at(Level::Displays));
    }
}
