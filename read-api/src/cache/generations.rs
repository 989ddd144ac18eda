//! Generations: spans of time in which this node followed the feed without a gap, and what they prove about entries.

use serde::{Deserialize, Serialize};
use yima_schema::time::Time;

/// A span of time in which no change was missed. A new one begins when a change may have been missed. Each cache
/// numbers its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// What the feed proves about every entry of one generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The generation is current: nothing was missed until its last complete poll, which began then.
    Followed(Time),
    /// The generation has ended: a change may have been missed since its last complete poll, which began then.
    Ended(Time),
    /// The generation is unknown, so nothing is proved.
    Unknown,
}

/// Number of ended generations that are remembered.
const REMEMBERED: usize = 16;

/// The current generation and the ones before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Generations {
    /// The generation of every entry that is admitted now.
    pub current: Generation,
    /// When the last complete poll of the feed began.
    pub polled_at: Time,
    /// Ended generations, oldest first, each with the beginning of its last complete poll.
    ended: Vec<(Generation, Time)>,
}

impl Default for Generations {
    /// Generation 0, in which the feed is not followed yet.
    fn default() -> Self {
        Self { current: Generation(0), polled_at: Time::MIN, ended: Vec::new() }
    }
}

impl Generations {
    /// The proof for entries of `generation`.
    pub fn proof(&self, generation: Generation) -> Proof {
        if generation == self.current {
            return Proof::Followed(self.polled_at);
        }
        let ended = self.ended.iter().find(|(ended, _)| *ended == generation);
        ended.map_or(Proof::Unknown, |(_, polled_at)| Proof::Ended(*polled_at))
    }

    /// The same generations after a complete poll that began at `polled_at`.
    pub fn after_poll(&self, polled_at: Time) -> Self {
        Self { polled_at, ..self.clone() }
    }

    /// A new generation, since a change may have been missed. Earlier entries may still be served as stale.
    pub fn after_gap(&self, polled_at: Time) -> Self {
        let mut ended = self.ended.clone();
        ended.push((self.current, self.polled_at));
        ended.drain(..ended.len().saturating_sub(REMEMBERED));
        Self { current: Generation(self.current.0 + 1), polled_at, ended }
    }

    /// A new generation, since the region was restored or rebuilt. Earlier entries must not be served again.
    pub fn after_rebuild(&self, polled_at: Time) -> Self {
        Self { current: Generation(self.current.0 + 1), polled_at, ended: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ended_generations_are_remembered() {
        let t = Time::from_secs;
        let mut generations = Generations::default().after_gap(t(1)).after_poll(t(2));
        assert_eq!(generations.proof(Generation(0)), Proof::Ended(Time::MIN));
        assert_eq!(generations.proof(Generation(1)), Proof::Followed(t(2)));
        for n in 0..REMEMBERED {
            generations = generations.after_gap(t(3 + n as i64));
        }
        assert_eq!(generations.proof(Generation(0)), Proof::Unknown);
        assert_eq!(generations.proof(Generation(1)), Proof::Ended(t(2)));
        assert_eq!(generations.proof(Generation(1_000)), Proof::Unknown);
        assert_eq!(generations.after_rebuild(t(100)).proof(Generation(1)), Proof::Unknown);
    }
}
