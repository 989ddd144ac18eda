//! Which parts of a slot a scanner needs, and which tags it has by them already.

use super::PartName;
use super::part::TagSet;
use crate::code::DenialTag;
use crate::time::Time;

/// The beginning of every first part.
pub(super) const BEGINNING: Time = Time::EPOCH;

/// The parts that cover everything known up to `released_at`: at each position the longest one that `is_held`, else the
/// longest one. `None`: the parts do not cover it.
pub fn cover(parts: &[PartName], released_at: Time, is_held: impl Fn(&PartName) -> bool) -> Option<Vec<PartName>> {
    let (mut chosen, mut at) = (Vec::new(), BEGINNING);
    while at < released_at {
        let from_here = || parts.iter().filter(|part| part.from == at && part.to > at);
        let held = from_here().filter(|part| is_held(part)).max_by_key(|part| part.to);
        let next = *held.or_else(|| from_here().max_by_key(|part| part.to))?;
        at = next.to;
        chosen.push(next);
    }
    (at == released_at).then_some(chosen)
}

/// The parts of a slot with their tags. A scanner may have come to a moment by any chain of parts.
pub struct Ways {
    /// The moments that a chain from the beginning reaches, ascending; the beginning is the first.
    positions: Vec<Time>,
    /// The parts between them, ascending by their end: positions of begin and end, and the tags.
    parts: Vec<(usize, usize, TagSet)>,
}

impl Ways {
    /// The ways by these parts: each from a moment to a moment.
    pub fn new(mut parts: Vec<(Time, Time, TagSet)>) -> Self {
        parts.sort_unstable_by_key(|(from, to, _)| (*to, *from));
        let mut ways = Self { positions: vec![BEGINNING], parts: Vec::new() };
        for (from, to, tags) in parts {
            // A part that no chain reaches is on no way.
            let Ok(from) = ways.positions.binary_search(&from) else { continue };
            if ways.positions.last() != Some(&to) {
                ways.positions.push(to);
            }
            ways.parts.push((from, ways.positions.len() - 1, tags));
        }
        ways
    }

    /// Whether every chain of parts from the beginning to `at` matches the tag, so that no part from there on needs it.
    pub fn all_match(&self, tag: DenialTag, at: Time) -> bool {
        let Ok(end) = self.positions.binary_search(&at) else { return false };
        let mut all_match = vec![true; end + 1];
        all_match[0] = false;
        for (from, to, tags) in self.parts.iter().take_while(|(_, to, _)| *to <= end) {
            all_match[*to] = all_match[*to] && (all_match[*from] || tags.matches(tag));
        }
        all_match[end]
    }
}
