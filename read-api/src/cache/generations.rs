//! Generations: stretches of time over which no change was missed.

use serde::{Deserialize, Serialize};
use yima_schema::time::Time;

use super::freshness::Proof;

/// A stretch of time over which no change was missed. A new one begins when one may have been. Numbered in each cache by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// Generations that have ended and are still known.
const KNOWN: usize = 16;

/// The generation that is being followed, and those before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Generations {
    /// What is learned now belongs to this one.
    pub current: Generation,
    /// When the last complete poll of the feed began.
    pub polled_at: Time,
    /// Earlier ones, oldest first, each with the beginning of its last complete poll.
    ended: Vec<(Generation, Time)>,
}

impl Default for Generations {
    /// The first is 0, in which nothing is followed yet.
    fn default() -> Self {
        Self { current: Generation(0), polled_at: Time::MIN, ended: Vec::new() }
    }
}

impl Generations {
    /// What proves an entry of `generation`.
    pub fn proof(&self, generation: Generation) -> Proof {
        if generation == self.current {
            return Proof::Followed(self.polled_at);
        }
        let ended = self.ended.iter().find(|(ended, _)| *ended == generation);
        ended.map_or(Proof::Unknown, |(_, polled_at)| Proof::Ended(*polled_at))
    }

    /// The same, and a poll that began then was complete.
    pub fn polled(&self, began: Time) -> Self {
        Self { polled_at: began, ..self.clone() }
    }

    /// A new generation, since a change may have been missed. What was learned before may be shown as what it is: old.
    pub fn next(&self, began: Time) -> Self {
        let mut ended = self.ended.clone();
        ended.push((self.current, self.polled_at));
        ended.drain(..ended.len().saturating_sub(KNOWN));
        Self { current: Generation(self.current.0 + 1), polled_at: began, ended }
    }

    /// A new generation, since the region was restored or rebuilt: nothing learned before may be shown again.
    pub fn anew(&self, began: Time) -> Self {
        Self { current: Generation(self.current.0 + 1), polled_at: began, ended: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_known_for_some_time() {
        let t = Time::from_secs;
        let mut generations = Generations::default().next(t(1)).polled(t(2));
        assert_eq!(generations.proof(Generation(0)), Proof::Ended(Time::MIN));
        assert_eq!(generations.proof(Generation(1)), Proof::Followed(t(2)));
        for n in 0..KNOWN {
            generations = generations.next(t(3 + n as i64));
        }
        assert_eq!(generations.proof(Generation(0)), Proof::Unknown);
        assert_eq!(generations.proof(Generation(1)), Proof::Ended(t(2)));
        assert_eq!(generations.proof(Generation(1_000)), Proof::Unknown);
        assert_eq!(generations.anew(t(100)).proof(Generation(1)), Proof::Unknown);
    }
}
