//! Bundles the pages in `pages/` into `$OUT_DIR/pages`, from where `lib.rs` includes them in the binary.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

const NEEDS_NODE: &str =
    "Node 18 or newer is needed to bundle the pages; on Debian, `./run` installs it where it is missing";
const OLDEST_NODE: u32 = 18;

/// The inputs of the bundle, relative to `pages/`. Cargo watches `src` with all its files.
const INPUTS: [&str; 18] = [
    "src",
    "icons",
    "agency.css",
    "agency.html",
    "agency.webmanifest",
    "base.css",
    "citizen.css",
    "citizen.html",
    "citizen.webmanifest",
    "checkpoint.css",
    "checkpoint.html",
    "checkpoint.webmanifest",
    "favicon.svg",
    "offline.html",
    "build.mjs",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
];

fn main() {
    let web = directory("CARGO_MANIFEST_DIR").join("pages");
    println!("cargo::rerun-if-changed=build.rs");
    for input in INPUTS {
        println!("cargo::rerun-if-changed={}", web.join(input).display());
    }

    check_node();
    if !installed(&web) {
        // No install script of a dependency runs: esbuild works without its own.
        npm(&web, &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], &[]);
    }
    let out = directory("OUT_DIR").join("pages");
    npm(&web, &["run", "--silent", "build"], &[("OUT_DIR", &out)]);
}

/// A directory from a variable that cargo sets for every build script.
fn directory(variable: &str) -> PathBuf {
    PathBuf::from(env::var_os(variable).unwrap_or_else(|| panic!("cargo sets {variable}")))
}

fn check_node() {
    let version = match Command::new("node").arg("--version").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Ok(_) | Err(_) => panic!("{NEEDS_NODE} (`node` was not found)"),
    };
    // v20.11.1
    let major = version.trim_start_matches('v').split('.').next().and_then(|number| number.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        panic!("{NEEDS_NODE} (`node` is {version})");
    }
}

/// Whether `node_modules` is at least as new as the lockfile. npm writes `.package-lock.json` when an installation is
/// complete.
fn installed(web: &Path) -> bool {
    let modified = |file: &str| -> Option<SystemTime> { fs::metadata(web.join(file)).ok()?.modified().ok() };
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (Some(installed), Some(locked)) => installed >= locked,
        (None, _) | (_, None) => false,
    }
}

fn npm(web: &Path, arguments: &[&str], variables: &[(&str, &Path)]) {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(web)
        .output()
        .unwrap_or_else(|error| panic!("{NEEDS_NODE} (`npm` did not start: {error})"));
    assert!(
        output.status.success(),
        "`npm {}` failed in {}:\n{}{}",
        arguments.join(" "),
        web.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
