//! Rules under which a display shows every event that its view was derived from.

use std::path::{Path, PathBuf};

/// Writes a rules document into the directory that shows every test of a subject, and otherwise equals the built-in
/// one.
///
/// # Panics
/// When the document cannot be written.
pub fn show_everything(directory: &Path) -> PathBuf {
    let built_in = include_str!("../../../../schema/rules/default.toml");
    let rules = built_in.replacen("shown = 3", "shown = 2000", 1);
    assert_ne!(rules, built_in, "the built-in rules show another number of tests");
    let path = directory.join("rules.toml");
    std::fs::write(&path, rules).expect("the directory can be written");
    path
}
