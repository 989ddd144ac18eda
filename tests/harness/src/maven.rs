//! Programs of Maven Central: Apache Cassandra's jars, and Keycloak. Each is fetched once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Cargo's target directory: on a disk, and never in a commit.
pub(crate) fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace is above its member").join("target")
}

/// The directory of Cassandra's jars.
///
/// # Panics
/// When Maven cannot fetch it.
pub fn fetch_cassandra() -> PathBuf {
    fetch("cassandra", "dependency:copy-dependencies")
}

/// The directory with Keycloak's own directory in it.
///
/// # Panics
/// When Maven cannot fetch it.
pub(crate) fn fetch_keycloak() -> PathBuf {
    fetch("keycloak", "dependency:unpack-dependencies")
}

/// Runs Maven's `goal` on `NAME/pom.xml`, unless that was done with the same file; returns the directory with what it
/// fetched. Concurrent callers wait.
///
/// # Panics
/// When Maven is missing or cannot fetch it.
fn fetch(name: &str, goal: &str) -> PathBuf {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("pom.xml");
    let wanted = fs::read(&pom).expect("the workspace can be read");
    let directory = target_dir().join(name);
    fs::create_dir_all(&directory).expect("the target directory can be written");
    // Held until it is dropped.
    let lock = File::create(directory.join("lock")).expect("the target directory can be written");
    lock.lock().expect("a file can be locked");

    let fetched = directory.join("lib");
    let copied_pom = fetched.join("pom.xml");
    if fs::read(&copied_pom).is_ok_and(|copied| copied == wanted) {
        return fetched;
    }
    let unfinished = TempDir::new_in(&directory).expect("the target directory can be written");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "-Dstyle.color=never", "--file"]).arg(&pom);
    maven.arg(goal).arg(format!("-DoutputDirectory={}", unfinished.path().display()));
    let output = maven.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|_| panic!("Maven is needed to fetch {name}: install maven, or let tests/run do it"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "Maven could not fetch {name} ({}):\n{said}", output.status);

    fs::write(unfinished.path().join("pom.xml"), wanted).expect("the target directory can be written");
    if fetched.exists() {
        fs::remove_dir_all(&fetched).expect("the target directory can be written");
    }
    fs::rename(unfinished.keep(), &fetched).expect("the target directory can be written");
    fetched
}
