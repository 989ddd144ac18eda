//! A child process of the tests: this executable again, with one test of it told by a variable what to do, saying on its standard
//! output what it was told was done.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIRECTORY: &str = "YIMA_STORE_TEST_CHILD";

/// What runs the test `name` of this executable as a child on `directory`.
pub fn arguments(name: &str) -> [String; 4] {
    [std::env::current_exe().unwrap().display().to_string(), name.into(), "--exact".into(), "--nocapture".into()]
}

/// Hands the directory to a child.
pub fn on(mut command: Command, directory: &Path) -> Command {
    command.env(DIRECTORY, directory);
    command
}

/// The directory, if this is a child.
pub fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Tells the parent, in one write.
pub fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}
