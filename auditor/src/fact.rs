//! What displays have to show, and what an answer proves about it.

use std::time::Duration;

use tokio::time::Instant;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;

use crate::display::Display;

/// How the auditor learnt of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A change of the feed, picked at random.
    Change,
    /// The stored view of a person, picked at random.
    Person,
    /// An event of the auditor's own.
    Canary,
}

impl Source {
    /// Every source, in order.
    pub const ALL: [Self; 3] = [Self::Change, Self::Person, Self::Canary];

    /// In metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Person => "person",
            Self::Canary => "canary",
        }
    }

    /// How much later than the fact an answer's `as_of` has to be to contradict it. A stored view may not be published
    /// yet: if its writer died meanwhile, another one does that within `dead_after_ms` and some seconds.
    fn grace(self) -> Duration {
        match self {
            Self::Change | Self::Canary => Duration::ZERO,
            Self::Person => Duration::from_secs(60),
        }
    }
}

/// What a display shows once it has the fact.
#[derive(Clone, Copy)]
pub enum Shows {
    /// This version or a later one, in the fact's own region: versions of two regions are not comparable.
    Version(Version),
    /// A test that was taken then or later; in every region.
    TestOf(Time),
}

/// From `at` on, every display of the subject has to show this.
pub struct Fact {
    /// How it was learnt.
    pub source: Source,
    /// Whose display.
    pub subject: SubjectId,
    /// The region that acknowledged it.
    pub region: String,
    /// What shows it.
    pub shows: Shows,
    /// When it had been acknowledged or was read, by this process' clock.
    pub at: Time,
    /// The same moment, from which windows count.
    pub since: Instant,
}

/// What an answer says about a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// It has it.
    Shown,
    /// It lacks it, and does not claim otherwise.
    Late,
    /// It lacks it, and claims to have everything that was acknowledged before a later moment.
    Contradicted,
    /// It leaves out the field that would show it, as a busy node does.
    LeftOut,
}

impl Fact {
    /// Whether a node of that region may be asked.
    pub(crate) fn concerns(&self, region: &str) -> bool {
        match self.shows {
            Shows::Version(_) => region == self.region,
            Shows::TestOf(_) => true,
        }
    }

    /// Judges the answer of a node of that region; clocks may be `margin` apart.
    pub(crate) fn judge(&self, display: &Display, region: &str, margin: Duration) -> Judgement {
        let is_shown = match self.shows {
            Shows::Version(version) => display.version >= version,
            Shows::TestOf(at) => match &display.newest_test {
                None => return Judgement::LeftOut,
                Some(newest) => newest.is_some_and(|newest| newest >= at),
            },
        };
        let claimed = if region == self.region { display.as_of } else { display.as_of_region(&self.region) };
        let proved_after = self.at.plus(margin + self.source.grace());
        match (is_shown, claimed) {
            (true, _) => Judgement::Shown,
            (false, Some(as_of)) if as_of > proved_after => Judgement::Contradicted,
            (false, _) => Judgement::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(source: Source, shows: Shows) -> Fact {
        let (subject, region) = (SubjectId::from_bytes([7; 16]), "xian".to_owned());
        Fact { source, subject, region, shows, at: Time::from_secs(100), since: Instant::now() }
    }

    fn display(version: u64, tests: Option<Option<i64>>, as_of: i64, chengdu: &str) -> Display {
        Display {
            version: Version(version),
            newest_test: tests.map(|newest| newest.map(Time::from_secs)),
            as_of: Some(Time::from_secs(as_of)),
            regions_as_of: chengdu.to_owned(),
        }
    }

    #[test]
    fn an_answer_that_lacks_a_change_contradicts_it_only_by_a_later_moment() {
        use Judgement::{Contradicted, Late, Shown};
        let change = |display: &Display| {
            fact(Source::Change, Shows::Version(Version(7))).judge(display, "xian", Duration::from_secs(1))
        };
        for (version, as_of, expected) in [
            (7, 50, Shown),
            (8, 200, Shown),
            (6, 99, Late),
            (6, 101, Late),
            (6, 102, Contradicted),
            (0, 200, Contradicted),
        ] {
            assert_eq!(change(&display(version, None, as_of, "")), expected, "version {version} as of {as_of}");
        }
        let silent = Display { as_of: None, ..display(6, None, 0, "") };
        assert_eq!(change(&silent), Late, "an answer without a moment claims nothing");
    }

    #[test]
    fn a_stored_view_may_wait_a_minute_for_its_publication() {
        let person = fact(Source::Person, Shows::Version(Version(7)));
        let judge = |as_of| person.judge(&display(6, None, as_of, ""), "xian", Duration::from_secs(1));
        assert_eq!((judge(161), judge(162)), (Judgement::Late, Judgement::Contradicted));
    }

    #[test]
    fn another_region_claims_what_it_says_of_the_region_of_the_event() {
        use Judgement::{Contradicted, Late, LeftOut, Shown};
        let canary = fact(Source::Canary, Shows::TestOf(Time::from_secs(90)));
        let judge =
            |tests, regions: &str| canary.judge(&display(9, tests, 500, regions), "chengdu", Duration::from_secs(1));
        let (before, after) =
            ("xian=\"1970-01-01T00:01:40Z\"", "lhasa=\"1970-01-01T00:00:00Z\", xian=\"1970-01-01T00:01:42Z\"");
        assert_eq!(judge(Some(Some(90)), ""), Shown);
        assert_eq!(judge(Some(Some(89)), ""), Late, "its own moment says nothing about xian");
        assert_eq!(judge(Some(None), before), Late);
        assert_eq!(judge(Some(None), after), Contradicted);
        assert_eq!(judge(None, after), LeftOut);
        assert!(canary.concerns("chengdu") && !fact(Source::Change, Shows::Version(Version(7))).concerns("chengdu"));
    }
}
