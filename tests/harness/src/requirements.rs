//! What a test needs of the machine. A test that cannot run fails and names what is missing; `tests/run` leaves such
//! tests out by their names, and libtest counts them.

use std::path::{Path, PathBuf};

/// For tests named `as_root_…`.
///
/// # Panics
/// When this process is not root.
#[track_caller]
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: run it as root, or leave it out with `--skip as_root` as tests/run does"
    );
}

/// A folder of public data sets, for tests named `real_data_…`: below `TEST_DATA_DIR`, else below `../shared/data`
/// beside the workspace.
///
/// # Panics
/// When the folder is not there.
#[track_caller]
pub fn real_data(folder: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("TEST_DATA_DIR").map_or_else(beside, PathBuf::from).join(folder);
    assert!(
        path.is_dir(),
        "this test needs {}: set TEST_DATA_DIR, or leave it out with `--skip real_data` as tests/run does",
        path.display()
    );
    path
}

/// Debian's libfaketime, the one for programs with threads.
///
/// # Panics
/// When it is not installed.
pub fn faketime() -> String {
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|dir| PathBuf::from(dir).join("faketime/libfaketimeMT.so.1"));
    let found = found.iter().find(|path| path.exists()).expect("libfaketime: tests/run installs the package faketime");
    found.display().to_string()
}
