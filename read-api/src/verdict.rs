//! A checkpoint's verdict: a pure function of the view, its freshness, the checkpoint's policy and the time.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::event::{Colour, TestKind, TestOutcome};
use yima_schema::time::{HOUR, Time};
use yima_schema::view::{ColourAt, View};

/// What the guard should do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let through.
    Pass,
    /// Look closer, as the instruction says.
    Check,
    /// Do not let through.
    Stop,
}

/// The reason for a verdict. Pages translate this closed list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Green, and the policy is met.
    Green,
    /// The same of a printed code, which anyone may have copied.
    PaperGreen,
    /// Red.
    Red,
    /// Yellow.
    Yellow,
    /// The code is closed: its holder is deceased.
    Closed,
    /// The policy asks for a negative nucleic-acid test, and the newest is none.
    TestRequired,
    /// The newest negative nucleic-acid test is older than the policy allows.
    TestTooOld,
    /// The view may have changed since: it is not proved current.
    Unproved,
    /// Another region has not been heard for longer than `max_region_lag_s`: it may have restricted the person since.
    RegionSilent,
    /// A genuine code that has expired.
    Expired,
    /// A genuine code from the future: a clock is wrong.
    NotYetValid,
    /// A genuine code that its phone has shown too long ago: a picture of it, or a phone with a wrong clock.
    StaleProof,
    /// A genuine token that another phone than its own shows.
    WrongPhone,
    /// A code of a phone that its holder has ended, or that is not known here yet.
    PhoneEnded,
    /// A printed code that its holder has revoked.
    PaperEnded,
    /// The signature is wrong.
    Forged,
    /// Not a yima code, or misread.
    Malformed,
    /// A code signed by a key that this service does not know.
    UnknownIssuer,
    /// A code by a key that was revoked, which anyone may have.
    RevokedKey,
    /// A genuine code of a subject without a view.
    Nobody,
    /// An identity document of a subject without a view.
    NotRegistered,
    /// A code of another system that the acceptance rules accept.
    ForeignAccepted,
    /// One that states a positive test.
    ForeignPositive,
    /// One that states fewer doses than the acceptance rules ask for.
    ForeignIncomplete,
    /// One with a statement that is too recent for the acceptance rules.
    ForeignTooRecent,
    /// One with a statement that is too old for them.
    ForeignTooOld,
    /// One with a statement that they do not list.
    ForeignNotListed,
    /// A version or content of another system's code that is not supported.
    ForeignUnsupported,
    /// One of several QR codes of a SMART Health Card.
    ForeignInParts,
    /// A code of another system that nobody in the trust list has signed.
    ForeignIssuerUnknown,
    /// One that its issuer has signed with a key for another purpose.
    ForeignKeyUsage,
    /// One that its issuer has revoked.
    ForeignRevoked,
    /// One that has expired.
    ForeignExpired,
    /// One from the future.
    ForeignNotYetValid,
}

impl Reason {
    /// The verdict that follows.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Green | Self::PaperGreen | Self::ForeignAccepted => Verdict::Pass,
            Self::Red | Self::Forged | Self::WrongPhone => Verdict::Stop,
            Self::Yellow
            | Self::Closed
            | Self::TestRequired
            | Self::TestTooOld
            | Self::Unproved
            | Self::RegionSilent
            | Self::Expired
            | Self::NotYetValid
            | Self::StaleProof
            | Self::PhoneEnded
            | Self::PaperEnded
            | Self::Malformed
            | Self::UnknownIssuer
            | Self::RevokedKey
            | Self::Nobody
            | Self::NotRegistered
            | Self::ForeignPositive
            | Self::ForeignIncomplete
            | Self::ForeignTooRecent
            | Self::ForeignTooOld
            | Self::ForeignNotListed
            | Self::ForeignUnsupported
            | Self::ForeignInParts
            | Self::ForeignIssuerUnknown
            | Self::ForeignKeyUsage
            | Self::ForeignRevoked
            | Self::ForeignExpired
            | Self::ForeignNotYetValid => Verdict::Check,
        }
    }

    /// Whether who passes has to be compared with an identity document.
    pub fn asks_for_the_document(self) -> bool {
        matches!(self, Self::PaperGreen | Self::ForeignAccepted)
    }

    /// The instruction for the guard, in English; pages have texts of their own.
    pub fn instruction(self) -> &'static str {
        match self {
            Self::Green => "Let through.",
            Self::PaperGreen => {
                "Printed code: compare name and number with the identity document. If they are the same, let through."
            }
            Self::Red => "Do not let through. Keep your distance and call your supervisor.",
            Self::Yellow => "Restricted. Ask where they are going and follow your checkpoint's rule for yellow.",
            Self::Closed => "This code is closed. Check the identity document and call your supervisor.",
            Self::TestRequired => "No negative nucleic-acid test. Send to the nearest testing point.",
            Self::TestTooOld => {
                "The nucleic-acid test is too old for this checkpoint. Send to the nearest testing point."
            }
            Self::Unproved => {
                "This answer may be out of date. Check the time of the answer and decide by your checkpoint's rule."
            }
            Self::RegionSilent => {
                "Another region has not been heard for a while: its results may be missing. \
                 Decide by your checkpoint's rule."
            }
            Self::Expired => "The code is out of date, perhaps a screenshot. Ask them to refresh it and scan again.",
            Self::NotYetValid => {
                "The code is from the future. Ask them to refresh it; if it stays, report a clock fault."
            }
            Self::StaleProof => {
                "The code was shown too long ago: it is a picture, or the phone's clock is wrong. \
                 Ask them to open their own page and scan again."
            }
            Self::WrongPhone => "This code was copied to another phone. Do not let through and call your supervisor.",
            Self::PhoneEnded => {
                "The code's owner has signed this phone out. Compare the identity document with its holder."
            }
            Self::PaperEnded => "This printed code was revoked by its owner. Check the identity document.",
            Self::Forged => "This code is forged. Do not let through and call your supervisor.",
            Self::Malformed => "This is not a health code, or it was misread. Scan again.",
            Self::UnknownIssuer => "This code comes from an issuer not known here. Check the identity document.",
            Self::RevokedKey => {
                "The key of this code was revoked. Ask them to refresh it and scan again; if it stays, check the \
                 identity document."
            }
            Self::NotRegistered => {
                "Nothing is known of this person. \
                 Compare the document with its holder and follow your checkpoint's rule."
            }
            Self::ForeignAccepted => {
                "Compare name and date of birth with an identity document. If they are the same, let through."
            }
            Self::ForeignPositive => "This foreign code states a positive test. Call your supervisor.",
            Self::ForeignIncomplete => {
                "This foreign code states too few doses. Send to the nearest testing point, or follow your rule."
            }
            Self::ForeignTooRecent => {
                "What this foreign code states does not count yet. Follow your checkpoint's rule."
            }
            Self::ForeignTooOld => {
                "What this foreign code states is too old. Send to the nearest testing point, or follow your rule."
            }
            Self::ForeignNotListed => {
                "This foreign code is genuine, but what it states does not count here. Follow your checkpoint's rule."
            }
            Self::ForeignUnsupported => "This kind of foreign code cannot be read here. Check the identity document.",
            Self::ForeignInParts => {
                "This is one of several QR codes of one card, which are not read here. Check the identity document."
            }
            Self::ForeignIssuerUnknown => {
                "This foreign code comes from an issuer not known here. Check the identity document."
            }
            Self::ForeignKeyUsage => {
                "The issuer's key may not sign what this foreign code states. Check the identity document."
            }
            Self::ForeignRevoked => {
                "The issuer has revoked this foreign code. Check the identity document and ask for another proof."
            }
            Self::ForeignExpired => "This foreign code has expired. Ask for a newer one.",
            Self::ForeignNotYetValid => "This foreign code is from the future. Check the identity document.",
            Self::Nobody => "The code is genuine, but nothing is known of this person. Check the identity document.",
        }
    }
}

/// The instruction for who would let a person through whose code a guardian shows.
pub const BY_GUARDIAN: &str = "Shown by a guardian: compare name and number with the identity document of the person \
    whose code it is. If they are the same, let through.";

/// What is known of the present besides a view.
#[derive(Clone, Copy)]
pub struct Proof {
    /// Whether the view is proved current in this region.
    pub fresh: bool,
    /// Whether another region has not been heard for too long.
    pub region_silent: bool,
}

/// Judges a view.
pub fn judge(view: &View, at: &ColourAt<'_>, proof: Proof, require_test_within: Option<Duration>, now: Time) -> Reason {
    match at.colour() {
        // A restriction stands even if the view is not proved current.
        Colour::Red => Reason::Red,
        Colour::None if at.segment.is_none() => Reason::Nobody,
        Colour::None => Reason::Closed,
        Colour::Yellow => Reason::Yellow,
        Colour::Green if !proof.fresh => Reason::Unproved,
        Colour::Green if proof.region_silent => Reason::RegionSilent,
        Colour::Green => require_test_within.map_or(Reason::Green, |within| judge_tests(view, within, now)),
    }
}

/// The newest conclusive nucleic-acid test must be negative and young enough.
fn judge_tests(view: &View, within: Duration, now: Time) -> Reason {
    match view.newest_conclusive(TestKind::NucleicAcid) {
        Some(test) if test.result == TestOutcome::Negative => {
            if now.since(test.sampled_at) <= within {
                Reason::Green
            } else {
                Reason::TestTooOld
            }
        }
        Some(_) | None => Reason::TestRequired,
    }
}

/// The hours of a policy as a duration.
pub fn hours(hours: u16) -> Duration {
    HOUR * u32::from(hours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use yima_schema::view::{ConclusiveTest, Segment, TestShown};

    fn view(colour: Colour, tests: &[(TestKind, TestOutcome, i64)]) -> View {
        let segment = Segment { from: Time::default(), colour, reason: "x".into(), agency: None };
        let shown = |&(test, result, at): &(_, _, i64)| TestShown {
            test,
            result,
            sampled_at: Time::from_secs(at * 3600),
            agency: "lab7".into(),
        };
        View { timeline: vec![segment], tests: tests.iter().map(shown).collect(), ..View::default() }
    }

    fn reason(view: &View, fresh: bool, within_h: Option<u16>, now_h: i64) -> Reason {
        let now = Time::from_secs(now_h * 3600);
        judge(view, &view.colour_at(now), Proof { fresh, region_silent: false }, within_h.map(hours), now)
    }

    #[test]
    fn a_silent_region_spoils_green_alone() {
        let (now, silent) = (Time::from_secs(3600), Proof { fresh: true, region_silent: true });
        let reason = |colour| {
            let view = view(colour, &[]);
            judge(&view, &view.colour_at(now), silent, None, now)
        };
        assert_eq!(reason(Colour::Green), Reason::RegionSilent);
        assert_eq!(Reason::RegionSilent.verdict(), Verdict::Check);
        assert_eq!(reason(Colour::Yellow), Reason::Yellow);
        assert_eq!(reason(Colour::Red), Reason::Red);
    }

    #[test]
    fn colours_and_freshness() {
        assert_eq!(reason(&view(Colour::Green, &[]), true, None, 1), Reason::Green);
        assert_eq!(reason(&view(Colour::Green, &[]), false, None, 1), Reason::Unproved);
        assert_eq!(reason(&view(Colour::Red, &[]), false, None, 1), Reason::Red);
        assert_eq!(reason(&view(Colour::Yellow, &[]), true, None, 1), Reason::Yellow);
        assert_eq!(reason(&view(Colour::None, &[]), true, None, 1), Reason::Closed);
        assert_eq!(reason(&View::default(), true, None, 1), Reason::Nobody);
    }

    #[test]
    fn the_policy_looks_at_the_newest_conclusive_nucleic_acid_test() {
        use {TestKind::*, TestOutcome::*};
        let tested = |tests: &[_]| view(Colour::Green, tests);
        assert_eq!(reason(&tested(&[(NucleicAcid, Negative, 10)]), true, Some(24), 34), Reason::Green);
        assert_eq!(reason(&tested(&[(NucleicAcid, Negative, 10)]), true, Some(24), 35), Reason::TestTooOld);
        assert_eq!(reason(&tested(&[(Antigen, Negative, 30)]), true, Some(24), 35), Reason::TestRequired);
        let inconclusive_since = [(NucleicAcid, Inconclusive, 30), (NucleicAcid, Negative, 20)];
        assert_eq!(reason(&tested(&inconclusive_since), true, Some(24), 35), Reason::Green);
        let positive_since = [(NucleicAcid, Positive, 30), (NucleicAcid, Negative, 20)];
        assert_eq!(reason(&tested(&positive_since), true, Some(24), 35), Reason::TestRequired);
        // What is shown decides only for a view from before the conclusive tests were kept.
        let conclusive = ConclusiveTest { test: NucleicAcid, result: Negative, sampled_at: Time::from_secs(15 * 3600) };
        let shown = tested(&[(NucleicAcid, Inconclusive, 33), (NucleicAcid, Inconclusive, 32)]);
        let derived = View { derive_version: 1, conclusive: vec![conclusive], ..shown };
        assert_eq!(reason(&derived, true, Some(48), 35), Reason::Green);
        assert_eq!(reason(&derived, true, Some(12), 35), Reason::TestTooOld);
    }
}
