//! Apache Cassandra's jars, fetched once from Maven Central.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Cargo's target directory: on a disk, and never in a commit.
pub(super) fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace is above its member").join("target")
}

/// Fetches the jars unless those of this `pom.xml` are there; returns their directory. Concurrent callers wait.
///
/// # Panics
/// When Maven is missing or cannot fetch them.
pub fn fetch_cassandra() -> PathBuf {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("cassandra/pom.xml");
    let wanted = fs::read(&pom).expect("the workspace can be read");
    let directory = target_dir().join("cassandra");
    fs::create_dir_all(&directory).expect("the target directory can be written");
    // Held until it is dropped.
    let lock = File::create(directory.join("lock")).expect("the target directory can be written");
    lock.lock().expect("a file can be locked");

    let jars = directory.join("lib");
    let copied_pom = jars.join("pom.xml");
    if fs::read(&copied_pom).is_ok_and(|copied| copied == wanted) {
        return jars;
    }
    let unfinished = TempDir::new_in(&directory).expect("the target directory can be written");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "-Dstyle.color=never", "--file"]).arg(&pom);
    maven.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", unfinished.path().display()));
    let fetched = maven.stdin(Stdio::null()).output();
    let fetched =
        fetched.expect("Maven is needed to fetch Cassandra: install the package maven, or let tests/run do it");
    let output = String::from_utf8_lossy(&fetched.stdout);
    assert!(fetched.status.success(), "Maven could not fetch Cassandra ({}):\n{output}", fetched.status);

    fs::write(unfinished.path().join("pom.xml"), wanted).expect("the target directory can be written");
    if jars.exists() {
        fs::remove_dir_all(&jars).expect("the target directory can be written");
    }
    fs::rename(unfinished.keep(), &jars).expect("the target directory can be written");
    jars
}
