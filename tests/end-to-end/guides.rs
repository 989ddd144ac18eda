//! README's "Try it", then the commands of each guide, are run in order and print what is shown beneath them.
//! docs/guides/README.md explains the marks.

mod blocks;
mod expected_output;

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use yima_harness::{Options, Yima, free_ports};

use blocks::Block;

/// Time for a whole guide; each takes a few seconds.
const DEADLINE_S: &str = "120";

/// README and the guides, each with the number of its blocks that are not run.
const TEXTS: [(&str, usize); 5] = [
    ("README.md", 0),
    ("docs/guides/citizen-app.md", 0),
    ("docs/guides/gate.md", 0),
    ("docs/guides/laboratory.md", 0),
    ("docs/guides/operator.md", 2),
];

/// A text below the root of the repository.
fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).expect("the text is there")
}

/// A terminal in a directory with a built `target/release/yima`.
struct Terminal {
    directory: PathBuf,
    /// Texts of the guides, each with its replacement.
    replacements: Vec<(&'static str, String)>,
    followed: usize,
}

impl Terminal {
    /// Runs a text's blocks with one bash.
    #[track_caller]
    fn follow(&mut self, (name, by_hand): (&str, usize)) {
        let text = self.replacements.iter().fold(read(name), |text, (from, to)| text.replace(from, to));
        let (blocks, skipped) = blocks::read(&text);
        assert_eq!(skipped, by_hand, "{name}: blocks that are not run");
        self.followed += 1;
        let outputs = self.directory.join(format!("outputs-{}", self.followed));
        fs::create_dir(&outputs).expect("the temporary directory can be written");
        let output = |n: usize| outputs.join(n.to_string());

        // Processes that a guide started and did not end are ended with it.
        let mut script =
            "set -euo pipefail\ntrap '{ kill $(jobs -p) && wait; } >/dev/null 2>&1 || true' EXIT\n".to_owned();
        for (n, block) in blocks.iter().enumerate() {
            script += &format!("exec >'{}' 2>&1\n{}\n", output(n).display(), block.commands);
        }
        let path = outputs.join("commands");
        fs::write(&path, script).expect("the temporary directory can be written");
        let mut bash = Command::new("timeout");
        bash.args(["--kill-after=20", DEADLINE_S, "bash"]).arg(&path).current_dir(&self.directory);
        bash.env("TMPDIR", &outputs).stdin(Stdio::null());
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"YIMA_") {
                bash.env_remove(variable);
            }
        }
        let stderr = File::create(outputs.join("stderr")).expect("the temporary directory can be written");
        let status = bash.stderr(stderr).status().expect("timeout and bash are installed");

        let name = format!("{name} (followed as number {})", self.followed);
        for (n, Block { line, commands, expected }) in blocks.iter().enumerate() {
            let Ok(printed) = fs::read_to_string(output(n)) else { panic!("{name}:{line} was not reached: {status}") };
            let is_last = !output(n + 1).exists();
            assert!(status.success() || !is_last, "{name}:{line}: {status}\n{commands}\n--- printed\n{printed}");
            let difference = expected_output::compare(expected.as_ref(), &printed).unwrap_or_default();
            assert!(difference.is_empty(), "{name}:{line}: {difference}\n{commands}\n--- printed\n{printed}");
        }
    }
}

/// On one yima as `./run` starts it, without a reset.
#[test]
fn try_it_and_then_the_guides_work_in_any_order_twice() {
    // Other tests keep the machine busy, and a busy node opens no live displays.
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2));
    let directory = yima.options().directory().to_owned();
    let release = directory.join("target/release");
    fs::create_dir_all(&release).expect("the temporary directory can be written");
    symlink(yima.options().command().get_program(), release.join("yima")).expect("the directory can be written");
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let [read, writer, admin] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let replacements = vec![
        ("127.0.0.1:8080", address(yima.read_url())),
        ("127.0.0.1:8081", address(yima.writer_url())),
        ("127.0.0.1:9090", address(yima.admin_url())),
        // The operator's guide starts a yima of its own.
        ("127.0.0.1:8180", read),
        ("127.0.0.1:8181", writer),
        ("127.0.0.1:9190", admin),
    ];
    let mut terminal = Terminal { directory, replacements, followed: 0 };
    let [try_it, citizen_app, gate, laboratory, operator] = TEXTS;
    for text in [try_it, citizen_app, gate, laboratory, operator] {
        terminal.follow(text);
    }
    for text in [try_it, operator, laboratory, gate, citizen_app] {
        terminal.follow(text);
    }
}

/// Who leaves one of them in the middle changes nothing for the others.
#[test]
fn no_two_guides_use_the_same_demo_person() {
    let mut users = HashMap::new();
    for (name, _) in TEXTS {
        let text = read(name);
        // A number that a guide sends, not one in prose or in an output: it stands in commands.
        let commands: String = blocks::read(&text).0.into_iter().map(|block| block.commands).collect();
        let numbers = commands.split(|c: char| !c.is_ascii_alphanumeric());
        for number in numbers.filter(|word| word.len() == 18 && word.starts_with("6101")) {
            let user = users.entry(number.to_owned()).or_insert(name);
            assert_eq!(*user, name, "{number}");
        }
    }
    assert!(users.len() >= 7, "{users:?}");
}
