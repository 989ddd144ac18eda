//! Numbers that are done, in any order, told without gaps.

use std::collections::BTreeSet;

/// Every number up to one, and some beyond.
#[derive(Clone, Default, Debug)]
pub struct Watermark {
    upto: u64,
    beyond: BTreeSet<u64>,
}

impl Watermark {
    /// Every number up to this one.
    pub fn new(upto: u64) -> Self {
        Self { upto, beyond: BTreeSet::new() }
    }

    /// Adds a number; repeating one changes nothing.
    pub fn add(&mut self, number: u64) {
        if number > self.upto {
            self.beyond.insert(number);
        }
        while self.beyond.first() == Some(&(self.upto + 1)) {
            self.beyond.pop_first();
            self.upto += 1;
        }
    }

    /// The highest number below which nothing is missing.
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// Whether a number is done.
    pub fn contains(&self, number: u64) -> bool {
        number <= self.upto || self.beyond.contains(&number)
    }
}
