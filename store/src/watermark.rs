//! The watermark of numbers that are finished in any order.

use std::collections::BTreeSet;

/// Finished numbers: every one up to a watermark, and some beyond.
#[derive(Clone, Default, Debug)]
pub struct Watermark {
    upto: u64,
    beyond: BTreeSet<u64>,
}

impl Watermark {
    /// Every number up to this one is finished.
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

    /// The highest number up to which none is missing.
    pub fn upto(&self) -> u64 {
        self.upto
    }

    /// Whether a number is finished.
    pub fn contains(&self, number: u64) -> bool {
        number <= self.upto || self.beyond.contains(&number)
    }
}
