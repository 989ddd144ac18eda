//! The ranges of time by which a slot's denials are cut into parts.
//!
//! Short ranges (from release to release) are small to fetch for who was here a while ago, long ones (of twelve
//! releases) few for who was not, and the first one of a new scanner is everything up to the last 72 releases. Wherever
//! a scanner is, a named part goes on from there: of the first parts the last two are named, of the long ones those
//! since the older one, of the short ones those since the last long one began.

use std::time::Duration;

use super::PartName;
use super::cover::BEGINNING;
use super::part::Precision;
use crate::time::Time;

/// Releases of a long range.
const LONG: u32 = 12;
/// Releases after which there is a new first part.
const FIRST: u32 = 72;
/// First parts that are named.
const FIRST_NAMED: usize = 2;

/// A part to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// It begins after this moment, and ends at the release.
    pub from: Time,
    /// How it is coded.
    pub precision: Precision,
}

/// The moment of the release in force at `now`: a multiple of the period since 1970.
pub fn release_before(now: Time, period: Duration) -> Time {
    floor(now, period, 1)
}

/// The parts to make for a release, given those that the release before it named.
pub fn to_make(named: &[PartName], released_at: Time, period: Duration) -> Vec<Range> {
    let everything = Range { from: BEGINNING, precision: Precision::Coarse };
    let (positions, first) = (positions(named), first_parts(named));
    let (Some(last), Some(first)) = (positions.last(), first.last()) else { return vec![everything] };
    if *last >= released_at {
        return Vec::new();
    }
    let range = |from| Range { from, precision: Precision::Fine };
    let mut ranges = vec![range(*last)];
    let crosses = |from: Time, releases| floor(from, period, releases) < floor(released_at, period, releases);
    let long = long_positions(&positions, period);
    if crosses(*last, LONG) {
        ranges.extend(long.last().filter(|long| *long != last).map(|long| range(*long)));
    }
    if crosses(*first, FIRST) {
        ranges.push(everything);
    }
    ranges
}

/// The parts to name, of those named before and made now, in ascending order.
pub fn to_name(mut parts: Vec<PartName>, period: Duration) -> Vec<PartName> {
    parts.sort_unstable();
    parts.dedup_by_key(|part| (part.from, part.to));
    let first = first_parts(&parts);
    let oldest = first[first.len().saturating_sub(FIRST_NAMED)..].first().copied().unwrap_or(BEGINNING);
    let long = long_positions(&positions(&parts), period);
    let short_since = long[long.len().saturating_sub(2)..].first().copied().unwrap_or(BEGINNING);
    let is_long = |part: &PartName| long.contains(&part.from) && long.contains(&part.to);
    parts.retain(|part| match part.from {
        BEGINNING => part.to >= oldest,
        from => from >= oldest && (from >= short_since || is_long(part)),
    });
    parts
}

/// The ends of parts, ascending.
fn positions(parts: &[PartName]) -> Vec<Time> {
    let mut positions: Vec<_> = parts.iter().map(|part| part.to).collect();
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// The ends of first parts, ascending.
fn first_parts(parts: &[PartName]) -> Vec<Time> {
    let mut ends: Vec<_> = parts.iter().filter(|part| part.from == BEGINNING).map(|part| part.to).collect();
    ends.sort_unstable();
    ends
}

/// The positions at which long ranges end: the first one, and each that is the first of its twelve releases.
fn long_positions(positions: &[Time], period: Duration) -> Vec<Time> {
    let before = std::iter::once(None).chain(positions.iter().map(|at| Some(floor(*at, period, LONG))));
    let with_before = positions.iter().zip(before);
    let long = with_before.filter(|(at, before)| before.is_none_or(|before| before < floor(**at, period, LONG)));
    long.map(|(at, _)| *at).collect()
}

fn floor(time: Time, period: Duration, releases: u32) -> Time {
    let grain = (period * releases).as_secs().max(1) as i64;
    Time::from_secs(time.as_secs().div_euclid(grain) * grain)
}
