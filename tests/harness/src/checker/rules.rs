//! Rules by which a display tells every event it was made from.

use std::path::{Path, PathBuf};

/// Writes a rules document there that shows every test a subject can have, and is otherwise the one that comes with yima.
///
/// # Panics
/// When it cannot be written.
pub fn show_everything(directory: &Path) -> PathBuf {
    let built_in = include_str!("../../../../schema/rules/default.toml");
    let rules = built_in.replacen("shown = 3", "shown = 2000", 1);
    assert_ne!(rules, built_in, "the built-in rules show another number of tests");
    let path = directory.join("rules.toml");
    std::fs::write(&path, rules).expect("the directory can be written");
    path
}
