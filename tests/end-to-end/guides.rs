//! The commands of each guide are run in order, and print what the guide shows.
//! docs/guides/README.md explains the marks.

mod blocks;
mod expected_output;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use yima_harness::{Options, Yima, free_ports};

use blocks::Block;

/// Time for a whole guide; each takes a few seconds.
const DEADLINE_S: &str = "120";

/// Runs a guide with one bash in `directory`, after replacing texts of the guide: each by the second of its pair.
#[track_caller]
fn follow(name: &str, directory: &Path, replacements: &[(&str, String)], by_hand: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides").join(name);
    let guide = fs::read_to_string(path).expect("the guide is there");
    let guide = replacements.iter().fold(guide, |guide, (text, replacement)| guide.replace(text, replacement));
    let (blocks, skipped) = blocks::read(&guide);
    assert_eq!(skipped, by_hand, "{name}: blocks that are not run");
    let outputs = directory.join("outputs");
    fs::create_dir(&outputs).expect("the temporary directory can be written");
    let output = |n: usize| outputs.join(n.to_string());

    // Processes that a guide started and did not end are ended with it.
    let mut script = "set -euo pipefail\ntrap '{ kill $(jobs -p) && wait; } >/dev/null 2>&1 || true' EXIT\n".to_owned();
    for (n, block) in blocks.iter().enumerate() {
        script += &format!("exec >'{}' 2>&1\n{}\n", output(n).display(), block.commands);
    }
    let path = directory.join("guide.sh");
    fs::write(&path, script).expect("the temporary directory can be written");
    let mut bash = Command::new("timeout");
    bash.args(["--kill-after=20", DEADLINE_S, "bash"]).arg(&path).current_dir(directory).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"YIMA_") {
            bash.env_remove(variable);
        }
    }
    let stderr = File::create(directory.join("stderr")).expect("the temporary directory can be written");
    let status = bash.stderr(stderr).status().expect("timeout and bash are installed");

    for (n, Block { line, commands, expected }) in blocks.iter().enumerate() {
        let Ok(printed) = fs::read_to_string(output(n)) else { panic!("{name}:{line} was not reached: {status}") };
        let is_last = !output(n + 1).exists();
        assert!(status.success() || !is_last, "{name}:{line}: {status}\n{commands}\n--- printed\n{printed}");
        let difference = expected_output::compare(expected.as_ref(), &printed).unwrap_or_default();
        assert!(difference.is_empty(), "{name}:{line}: {difference}\n{commands}\n--- printed\n{printed}");
    }
}

/// Runs a guide against a running yima with the demo's people, as `./run` starts it.
#[track_caller]
fn follow_with_yima(name: &str) {
    // Other tests keep the machine busy, and a busy node opens no live displays.
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2));
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let replacements = [
        ("127.0.0.1:8080", address(yima.read_url())),
        ("127.0.0.1:8081", address(yima.writer_url())),
        ("127.0.0.1:9090", address(yima.admin_url())),
        ("target/release/yima", program(yima.options())),
    ];
    follow(name, yima.options().directory(), &replacements, 0);
}

fn program(options: &Options) -> String {
    options.command().get_program().to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn the_guide_of_a_citizen_app_is_right() {
    follow_with_yima("citizen-app.md");
}

#[test]
fn the_guide_of_a_gate_is_right() {
    follow_with_yima("gate.md");
}

#[test]
fn the_guide_of_a_laboratory_is_right() {
    follow_with_yima("laboratory.md");
}

/// This guide starts and stops yima itself.
#[test]
fn the_guide_of_an_operator_is_right() {
    let options = Options::default();
    let [read, writer, admin] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let replacements = [
        ("127.0.0.1:8080", read),
        ("127.0.0.1:8081", writer),
        ("127.0.0.1:9090", admin),
        ("target/release/yima", program(&options)),
    ];
    follow("operator.md", options.directory(), &replacements, 2);
}
