//! A child process of the tests: this executable again, running one of its tests in a directory that a variable names.
//! It prints each acknowledgement to its standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIRECTORY: &str = "YIMA_STORE_TEST_CHILD";

/// The command line that runs the test `name` of this executable as a child.
pub fn arguments(name: &str) -> [String; 4] {
    [std::env::current_exe().unwrap().display().to_string(), name.into(), "--exact".into(), "--nocapture".into()]
}

/// Gives a child its directory.
pub fn on(mut command: Command, directory: &Path) -> Command {
    command.env(DIRECTORY, directory);
    command
}

/// The directory, if this is a child.
pub fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Prints a line for the parent, in one write.
pub fn print(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}
