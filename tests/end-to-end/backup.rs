//! `yima backup`: the file that it makes, and what happens when one of its two processes ends early.
//! [`restore`] has `yima restore`.

mod restore;

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use yima_harness::{Options, Yima, new_person, until};
use yima_schema::time::HOUR;

use crate::dashboard;

/// Time for a backup to be handed out or a load to go on, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A population whose backup exceeds pipes and buffers.
const LARGE: u64 = 20_000;

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("yima can be run")
}

/// The arguments with a file of the key that all these tests use.
pub fn key(options: &Options) -> [OsString; 2] {
    let file = options.directory().join("backup.key");
    let key = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n";
    fs::write(&file, key).expect("a file");
    ["--key-file".into(), file.into()]
}

fn backup(options: &Options, file: &Path) -> Output {
    run(options.command().arg("backup").arg(file).args(key(options)))
}

fn restore(options: &Options, file: &Path) -> Output {
    run(options.command().arg("restore").arg(file).args(key(options)))
}

/// The command succeeded; returns its standard error.
#[track_caller]
fn assert_done(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    stderr
}

/// The command refused with exit code 3 and all of these words.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        words.iter().all(|words| stderr.contains(words)) && !stderr.contains("panicked"),
        "expected {words:?} in: {stderr}"
    );
}

#[test]
fn a_stopped_process_is_backed_up_and_its_keys_stay_private() {
    use std::os::unix::fs::PermissionsExt;
    let mut yima = Yima::start(Options::default());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR);
    yima.event(&lab, &event);
    // No other file is a key.
    for other in [".pseudonym.key.swp", "seal.key.part", "seal.key.old"] {
        fs::write(yima.data_dir().join("keys").join(other), b"x").expect("a file");
    }
    assert_done(&backup(yima.options(), &yima.options().directory().join("of-running")));
    yima.kill9();
    let file = yima.options().directory().join("backup");
    assert_done(&backup(yima.options(), &file));
    let fresh = Options::default();
    // Through standard output and input, with a passphrase.
    let passphrase = ["--passphrase-file".into(), fresh.directory().join("passphrase").into_os_string()];
    fs::write(&passphrase[1], "correct horse battery staple\n").expect("a file");
    let piped = run(yima.options().command().args(["backup", "-"]).args(&passphrase));
    assert_done(&piped);
    let mut command = fresh.command();
    let mut child =
        command.args(["restore", "-"]).args(&passphrase).stdin(Stdio::piped()).spawn().expect("yima can be run");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), &piped.stdout).expect("a pipe");
    assert!(child.wait().expect("it ends").success());
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o600);
    assert_eq!((mode(fresh.data_dir()), mode(fresh.data_dir().join("keys"))), (0o700, 0o700));
    for key in ["pseudonym.key", "seal.key", "issuer.p8", "demo-identity-provider.p8", "keys.json"] {
        assert_eq!(mode(fresh.data_dir().join("keys").join(key)), 0o600);
    }
    let keys = fs::read_dir(fresh.data_dir().join("keys")).expect("keys").count();
    assert_eq!(keys, 5, "files other than keys");
    let restored = Yima::start(fresh);
    assert_eq!(restored.event(&lab, &event), "duplicate");
    assert_eq!(restored.shown(&restored.session_of(&person)).0, "red");
}

/// Waits until a file has content.
fn wait_for_content(file: &Path) {
    let has_content = || fs::metadata(file).is_ok_and(|found| found.len() > 0);
    until(&format!("content in {}", file.display()), PATIENCE, has_content);
}

#[test]
fn a_backup_does_not_follow_a_link_in_its_directory() {
    let yima = Yima::start(Options::default());
    let file = yima.options().directory().join("backup");
    let linked = file.with_extension("linked");
    fs::write(&linked, b"linked").expect("a file");
    symlink(&linked, file.with_extension("part")).expect("a link");
    assert_done(&backup(yima.options(), &file));
    assert_eq!(fs::read(&linked).expect("a file"), b"linked");
    assert!(fs::symlink_metadata(&file).expect("a backup").is_file());
}

#[test]
fn a_backup_counts_once_its_receiver_confirms_it() {
    let yima = Yima::start(Options::default());
    let as_of = || yima.metric("backup_as_of_seconds", &[]);
    let exported = dashboard::exported(&yima);
    assert!(exported.contains("backup_as_of_seconds") && as_of() == 0.0, "no backup since the start");
    // A receiver that reads the last byte and ends before it has confirmed.
    let mut stream = UnixStream::connect(yima.data_dir().join("backup.sock")).expect("a socket");
    stream.read_to_end(&mut Vec::new()).expect("all of it");
    drop(stream);
    let started_s = yima_harness::now().as_millis() / 1000;
    until("an unconfirmed backup in the log", PATIENCE, || {
        yima.stderr().contains("a backup was not sent completely; its receiver discards it")
    });
    assert_eq!(as_of(), 0.0);
    assert_done(&backup(yima.options(), &yima.options().directory().join("backup")));
    until("a confirmed backup in the log", PATIENCE, || yima.stderr().contains("a backup was sent"));
    assert!(as_of() >= started_s as f64, "{}", as_of());
}

#[test]
fn a_data_directory_too_deep_for_a_socket_is_backed_up_once_stopped() {
    let options = Options::default().data_dir_name("deep".repeat(30));
    let mut yima = Yima::start(options.clone());
    let file = options.directory().join("backup");
    assert!(yima.stderr().contains("no backup can be made while this process runs"), "{}", yima.stderr());
    assert_refused(&backup(&options, &file), &["another process"]);
    yima.stop();
    assert_done(&backup(&options, &file));
}

#[test]
fn a_killed_backup_leaves_no_backup() {
    // The process pauses in the middle of its first backup.
    let options = Options::default().population(LARGE).env("FAILPOINT", "row_backed_up:stop:60000");
    let mut yima = Yima::start(options);
    let file = yima.options().directory().join("backup");
    let part = file.with_extension("part");
    let write =
        || yima.options().command().env_remove("FAILPOINT").arg("backup").arg(&file).args(key(yima.options())).spawn();
    let mut killed = write().expect("yima can be run");
    yima.wait_until_paused();
    wait_for_content(&part);
    killed.kill().expect("a child can be killed");
    killed.wait().expect("a killed child ends");
    assert!(!file.exists());
    assert_refused(&restore(&Options::default(), &part), &["nothing was restored", "cut short"]);
    yima.resume();
    // The next backup overwrites the part that the killed one left.
    assert_done(&backup(yima.options(), &file));
    assert!(!part.exists());

    // The process that hands the backup out is killed.
    let (child, mut out) = half_taken(&yima);
    yima.kill9();
    out.read_to_end(&mut Vec::new()).expect("the rest");
    assert_refused(&child.wait_with_output().expect("it ends"), &["the backup was not made"]);
}

/// A backup whose receiver has read its beginning, and no more.
fn half_taken(yima: &Yima) -> (Child, ChildStdout) {
    let mut command = yima.options().command();
    command
        .env_remove("FAILPOINT")
        .args(["backup", "-"])
        .args(key(yima.options()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("yima can be run");
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 1_000]).expect("the beginning");
    (child, out)
}

#[test]
fn a_stop_ends_a_running_backup() {
    let mut yima = Yima::start(Options::default().population(LARGE));
    let (child, mut out) = half_taken(&yima);
    assert_eq!(yima.stop().code(), Some(0), "{}", yima.stderr());
    assert!(yima.stderr().contains("a backup was not sent completely; its receiver discards it"), "{}", yima.stderr());
    out.read_to_end(&mut Vec::new()).expect("the rest");
    assert_refused(&child.wait_with_output().expect("it ends"), &["the backup was not made"]);
}
