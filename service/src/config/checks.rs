//! Checks of settings against each other.

use super::merge::Merged;

/// Collects the errors of settings that do not fit each other, beside those found before.
pub struct Checks<'a> {
    merged: &'a mut Merged,
}

impl<'a> Checks<'a> {
    pub(super) fn new(merged: &'a mut Merged) -> Self {
        Self { merged }
    }

    /// Reports `key` unless `holds`. `others` are the keys that the check reads besides. Reports nothing if one of all
    /// these is in error already: the check then saw a default in its place.
    pub fn expect(&mut self, holds: bool, key: &str, others: &[&str], expected: impl Into<String>) {
        let mut keys = std::iter::once(key).chain(others.iter().copied());
        if holds || keys.clone().any(|key| self.merged.has_error(key)) {
            return;
        }
        let source = keys.find_map(|key| self.merged.source_of(key)).unwrap_or_else(|| "the defaults".to_owned());
        self.merged.error(key, source, expected.into());
    }
}
