//! Values of a metric's label that senders choose: the first so many are kept, all others are `other`, so that no
//! sender can make series without end.

use std::collections::HashSet;

use parking_lot::Mutex;

/// The label of every value beyond the bound.
pub(crate) const OTHER: &str = "other";

/// The values seen so far.
pub(crate) struct BoundedLabels {
    seen: Mutex<HashSet<String>>,
    most: usize,
}

impl BoundedLabels {
    /// Keeps up to `most` values.
    pub(crate) fn new(most: usize) -> Self {
        Self { seen: Mutex::default(), most }
    }

    /// The label of a value.
    pub(crate) fn label(&self, value: &str) -> String {
        let mut seen = self.seen.lock();
        if seen.contains(value) || (seen.len() < self.most && seen.insert(value.to_owned())) {
            value.to_owned()
        } else {
            OTHER.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_share_a_label() {
        let labels = BoundedLabels::new(2);
        assert_eq!(["a", "b", "c", "a"].map(|value| labels.label(value)), ["a", "b", OTHER, "a"]);
    }
}
