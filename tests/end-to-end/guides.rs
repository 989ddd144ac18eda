//! The guides are true: their commands are run, one after the other, and print what the guide says. What the marks mean is said in
//! docs/guides/README.md.

mod answer;
mod blocks;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use yima_harness::{Options, Yima, free_ports};

use blocks::Block;

/// For a whole guide; each takes some seconds.
const DEADLINE_S: &str = "120";

/// Runs a guide with one bash in `directory`. `instead` is what stands here for what stands in the guide.
#[track_caller]
fn follow(name: &str, directory: &Path, instead: &[(&str, String)], by_hand: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides").join(name);
    let guide = fs::read_to_string(path).expect("the guide is there");
    let guide = instead.iter().fold(guide, |guide, (theirs, ours)| guide.replace(theirs, ours));
    let (blocks, left_out) = blocks::read(&guide);
    assert_eq!(left_out, by_hand, "{name}: blocks that nobody runs");
    let answers = directory.join("answers");
    fs::create_dir(&answers).expect("the temporary directory can be written");
    let answer = |n: usize| answers.join(n.to_string());

    // What a guide started and did not end goes with it.
    let mut script = "set -euo pipefail\ntrap '{ kill $(jobs -p) && wait; } >/dev/null 2>&1 || true' EXIT\n".to_owned();
    for (n, block) in blocks.iter().enumerate() {
        script += &format!("exec >'{}' 2>&1\n{}\n", answer(n).display(), block.commands);
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
    let said = File::create(directory.join("said")).expect("the temporary directory can be written");
    let ended = bash.stderr(said).status().expect("timeout and bash are there");

    for (n, Block { line, commands, expected }) in blocks.iter().enumerate() {
        let Ok(printed) = fs::read_to_string(answer(n)) else { panic!("{name}:{line} was not reached: {ended}") };
        let last = !answer(n + 1).exists();
        assert!(ended.success() || !last, "{name}:{line}: {ended}\n{commands}\n--- printed\n{printed}");
        let fault = answer::compare(expected.as_ref(), &printed);
        assert!(fault.is_none(), "{name}:{line}: {}\n{commands}\n--- printed\n{printed}", fault.unwrap_or_default());
    }
}

/// With a yima that runs as the guide says: as `./run` starts it, with the demo's people.
#[track_caller]
fn follow_beside(name: &str) {
    // Other tests keep the machine busy, and a busy node opens no streams.
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2));
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let instead = [
        ("127.0.0.1:8080", address(yima.read_url())),
        ("127.0.0.1:8081", address(yima.writer_url())),
        ("127.0.0.1:9090", address(yima.admin_url())),
        ("target/release/yima", program(yima.options())),
    ];
    follow(name, yima.options().directory(), &instead, 0);
}

fn program(options: &Options) -> String {
    options.command().get_program().to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn citizen_app() {
    follow_beside("citizen-app.md");
}

#[test]
fn gate() {
    follow_beside("gate.md");
}

#[test]
fn laboratory() {
    follow_beside("laboratory.md");
}

/// It starts and stops yima itself.
#[test]
fn operator() {
    let options = Options::default();
    let [read, writer, admin] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let instead = [
        ("127.0.0.1:8080", read),
        ("127.0.0.1:8081", writer),
        ("127.0.0.1:9090", admin),
        ("target/release/yima", program(&options)),
    ];
    follow("operator.md", options.directory(), &instead, 2);
}
