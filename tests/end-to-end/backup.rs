//! `yima backup` and `yima restore`: what is in a backup, what is not believed, and what phones see afterwards.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use yima_harness::{Options, Person, Reply, Yima, new_person, require_root, until};
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::HOUR;
use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{EventReader, ViewReader, WriterStore};

use crate::dashboard;
use crate::start_stop::refuses;

/// A busy machine's time for what a backup waits for.
const HANDED_OUT: Duration = Duration::from_secs(60);
/// More than what fits into pipes and buffers.
const MANY: u64 = 20_000;

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("yima can be run")
}

fn backup(options: &Options, file: &Path) -> Output {
    run(options.command().arg("backup").arg(file))
}

fn restore(options: &Options, file: &Path) -> Output {
    run(options.command().arg("restore").arg(file))
}

#[track_caller]
fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

/// That it refused, said all of this, and did nothing halfway.
#[track_caller]
fn refused(output: &Output, says: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        says.iter().all(|words| said.contains(words)) && !said.contains("panicked"),
        "expected {says:?} in: {said}"
    );
}

fn ask(yima: &Yima, session: &str, tag: &str) -> Reply {
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
    yima.http().get_with(&format!("{}/v1/display", yima.read_url()), &headers).expect("a whole answer")
}

/// All that is shown of somebody but the version.
fn content(mut body: Value) -> Value {
    body["version"].take();
    body
}

/// Sends tests of ever new people until told to stop; what was acknowledged, in that order.
fn stream(yima: &Yima, lab: &str, acknowledged: &Mutex<Vec<(Person, Value)>>, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let person = new_person();
        let event = person.test(&format!("s-{n}"), "positive", HOUR);
        assert_eq!(yima.event(lab, &event), "accepted");
        acknowledged.lock().expect("nobody panicked").push((person, event));
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_was_acknowledged_before_a_backup_is_in_it_and_phones_go_on() {
    let mut yima = Yima::start(Options::default().unlimited().population(500));
    let lab = yima.agency_token("lab-7");
    let (changed, file) = (new_person(), yima.options().directory().join("backup"));
    yima.event(&lab, &changed.test("c-1", "negative", HOUR * 3));
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let before = thread::scope(|scope| {
        // Also when something fails, or the sender would go on for ever.
        let _stopped = StopOnDrop(&stop);
        scope.spawn(|| stream(&yima, &lab, &acknowledged, &stop));
        until("30 events", HANDED_OUT, || acknowledged.lock().unwrap().len() >= 30);
        let before = acknowledged.lock().unwrap().clone();
        let said = done(&backup(yima.options(), &file));
        assert!(said.contains("all that was acknowledged before 20"), "{said}");
        until("30 more", HANDED_OUT, || acknowledged.lock().unwrap().len() >= before.len() + 30);
        before
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let late = &acknowledged.last().expect("somebody").0;
    // Two versions more than in the backup, and somebody of whom it knows nothing: both phones have seen that.
    let shown = yima.display(&yima.session_of(&changed)).json(200);
    for n in 2..4 {
        yima.event(&lab, &changed.test(&format!("c-{n}"), "positive", HOUR));
    }
    let sessions: Vec<(String, Value)> = before
        .iter()
        .map(|(person, _)| yima.session_of(person))
        .map(|session| (session.clone(), content(yima.display(&session).json(200))))
        .collect();
    let (changed_session, late_session) = (yima.session_of(&changed), yima.session_of(late));
    let tags = [&changed_session, &late_session].map(|session| yima.display(session).header("etag").to_owned());
    assert_eq!(ask(&yima, &changed_session, &tags[0]).status, 304);
    yima.kill9();

    let fresh = Options::default().unlimited();
    let said = done(&restore(&fresh, &file));
    assert!(said.contains("IS NOT IN IT") && said.contains("epoch 2"), "{said}");
    let mut restored = Yima::start(fresh.clone());
    for (session, shown) in &sessions {
        assert_eq!(content(restored.display(session).json(200)), *shown);
    }
    let answer = ask(&restored, &changed_session, &tags[0]).json(200);
    assert_eq!(content(answer.clone()), content(shown));
    assert!(answer["version"].as_u64() >= Some(Version::floor(2).0), "{answer}");
    assert_eq!(ask(&restored, &late_session, &tags[1]).json(200)["colour"]["code"], "none");
    for (_, event) in &before {
        assert_eq!(restored.event(&lab, event), "duplicate", "{event} was acknowledged before the backup");
    }
    assert_eq!(restored.event(&lab, &acknowledged.last().expect("an event").1), "accepted");
    let newer = [&changed_session, &late_session].map(|session| restored.display(session).header("etag").to_owned());
    restored.stop();
    fits_together(&fresh.data_dir(), acknowledged.iter().map(|(person, _)| person).chain([&changed]));

    // The same backup once more, after phones have seen what came after it was first restored: that has the same epoch.
    let again = Options::default().unlimited();
    done(&restore(&again, &file));
    let again = Yima::start(again);
    for (session, tag) in [&changed_session, &late_session].into_iter().zip(&newer) {
        assert_eq!(ask(&again, session, tag).status, 200);
    }
}

/// Opens the store and holds everybody's view to be the fold of their events.
#[tokio::main(flavor = "current_thread")]
async fn fits_together<'a>(data_dir: &Path, people: impl Iterator<Item = &'a Person>) {
    let secret = fs::read(data_dir.join("keys/pseudonym.key")).expect("the key").try_into().expect("32 bytes");
    let (key, rules) = (PseudonymKey::from_bytes(&secret), Rules::built_in());
    let options = EmbeddedOptions::new("local", key.fingerprint());
    let store = EmbeddedStore::open(&data_dir.join("store"), options).expect("a store");
    assert!(store.unsettled().await.expect("marks").is_empty(), "a mark is left");
    assert_eq!(store.epoch(), 2);
    let mut there = 0;
    for person in people {
        let subject = key.subject(&Document::new(DocumentType::CnResidentId, &person.document).expect("a number"));
        let events = store.events(&[subject]).await.expect("events").remove(0);
        match store.lookup(subject).await.expect("a lookup") {
            None => assert!(events.is_empty(), "events without a view"),
            Some(found) => {
                assert!(found.view == derive(&events, &rules).encode(), "a view is not the fold of its events");
                assert!(found.version >= Version::floor(2), "a view of before");
                there += 1;
            }
        }
    }
    assert!(there > 30);
}

#[test]
fn a_backup_that_is_not_whole_restores_nothing() {
    let mut yima = Yima::start(Options::default());
    let file = yima.options().directory().join("backup");
    done(&backup(yima.options(), &file));
    refused(&backup(yima.options(), &file), &["exists"]);
    yima.stop();
    let whole = fs::read(&file).expect("a backup");
    let fresh = Options::default();
    let bad = fresh.directory().join("bad");
    let refuses = |bytes: &[u8], says: &[&str]| {
        fs::write(&bad, bytes).expect("a file");
        refused(&restore(&fresh, &bad), &[&["nothing was restored"], says].concat());
        assert!(!fresh.data_dir().exists(), "something is left of {says:?}");
    };
    // Every part of the format is hit: a prime step.
    for at in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        refuses(&flipped, &[]);
    }
    for length in (0..whole.len()).step_by(211).chain([whole.len() - 1]) {
        refuses(&whole[..length], &[]);
    }
    refuses(&whole[..whole.len() - 1], &["cut short"]);
    refuses(&[&whole[..], b"x"].concat(), &["damaged"]);
    refuses(b"# something else\n", &["not a backup of yima"]);
    let newer = [b"yimaback", &2_u32.to_be_bytes()[..], &whole[12..]].concat();
    refuses(&newer, &["format 2", "format 1"]);

    fs::create_dir(fresh.data_dir()).expect("a directory");
    fs::create_dir(fresh.data_dir().join("lost+found")).expect("a directory");
    fs::write(fresh.data_dir().join("mine"), b"x").expect("a file");
    refused(&restore(&fresh, &file), &["not empty", "mine"]);
    fs::remove_file(fresh.data_dir().join("mine")).expect("a file");
    done(&restore(&fresh, &file));
    refused(&restore(&fresh, &file), &["not empty"]);
    let running = Yima::start(fresh);
    refused(&restore(running.options(), &file), &["not empty"]);
    refused(&run(running.options().command().args(["--store", "cql", "backup"]).arg(&bad)), &["--store cql", "keys/"]);
}

#[test]
fn as_root_a_restore_into_a_directory_of_another_user_names_the_command_to_use() {
    require_root();
    let (yima, fresh) = (Yima::start(Options::default()), Options::default());
    let file = yima.options().directory().join("backup");
    done(&backup(yima.options(), &file));
    fs::create_dir(fresh.data_dir()).expect("a directory");
    let owned_by = |uid| chown(fresh.data_dir(), Some(uid), None).expect("root may");
    owned_by(12_345);
    refused(&restore(&fresh, &file), &["sudo -u '#12345'"]);
    owned_by(0);
    done(&restore(&fresh, &file));
}

#[test]
fn a_stopped_process_is_backed_up_too_and_secrets_stay_secret() {
    use std::os::unix::fs::PermissionsExt;
    let mut yima = Yima::start(Options::default());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR);
    yima.event(&lab, &event);
    // What an editor and a crash leave behind is no key.
    for other in [".pseudonym.key.swp", "seal.key.part"] {
        fs::write(yima.data_dir().join("keys").join(other), b"x").expect("a file");
    }
    done(&backup(yima.options(), &yima.options().directory().join("of-running")));
    yima.kill9();
    let file = yima.options().directory().join("backup");
    done(&backup(yima.options(), &file));
    let fresh = Options::default();
    // By way of standard output and input, as through a program that encrypts.
    let piped = run(yima.options().command().args(["backup", "-"]));
    done(&piped);
    let mut command = fresh.command();
    let mut child = command.args(["restore", "-"]).stdin(Stdio::piped()).spawn().expect("yima can be run");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), &piped.stdout).expect("a pipe");
    assert!(child.wait().expect("it ends").success());
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o600);
    assert_eq!((mode(fresh.data_dir()), mode(fresh.data_dir().join("keys"))), (0o700, 0o700));
    for key in ["pseudonym.key", "seal.key", "issuer.p8", "demo-identity-provider.p8"] {
        assert_eq!(mode(fresh.data_dir().join("keys").join(key)), 0o600);
    }
    let keys = fs::read_dir(fresh.data_dir().join("keys")).expect("keys").count();
    assert_eq!(keys, 4, "keys, and nothing else");
    let restored = Yima::start(fresh);
    assert_eq!(restored.event(&lab, &event), "duplicate");
    assert_eq!(restored.shown(&restored.session_of(&person)).0, "red");
}

/// Waits until there is something in a file that is being written.
fn grows(file: &Path) {
    let begun = std::time::Instant::now();
    while fs::metadata(file).map_or(0, |found| found.len()) == 0 {
        assert!(begun.elapsed().as_secs() < 60, "{} does not grow", file.display());
        thread::yield_now();
    }
}

#[test]
fn where_a_backup_goes_nothing_else_is_written() {
    let yima = Yima::start(Options::default());
    let file = yima.options().directory().join("backup");
    let theirs = file.with_extension("theirs");
    fs::write(&theirs, b"theirs").expect("a file");
    symlink(&theirs, file.with_extension("part")).expect("a link");
    done(&backup(yima.options(), &file));
    assert_eq!(fs::read(&theirs).expect("a file"), b"theirs");
    assert!(fs::symlink_metadata(&file).expect("a backup").is_file());
}

#[test]
fn a_backup_counts_when_its_receiver_has_it() {
    let yima = Yima::start(Options::default());
    let as_of = || yima.metric("backup_as_of_seconds", &[]);
    let exported = dashboard::exported(&yima);
    assert!(exported.contains("backup_as_of_seconds") && as_of() == 0.0, "none since the start");
    // Whoever takes the last byte and dies before it is on a disk.
    let mut stream = UnixStream::connect(yima.data_dir().join("backup.sock")).expect("a socket");
    stream.read_to_end(&mut Vec::new()).expect("all of it");
    drop(stream);
    let begun = yima_harness::now().as_millis() / 1000;
    until("what was not handed out", HANDED_OUT, || yima.stderr().contains("a backup was not handed out whole"));
    assert_eq!(as_of(), 0.0);
    done(&backup(yima.options(), &yima.options().directory().join("backup")));
    until("what was handed out", HANDED_OUT, || yima.stderr().contains("a backup was handed out"));
    assert!(as_of() >= begun as f64, "{}", as_of());
}

#[test]
fn a_data_directory_too_deep_for_a_socket_is_backed_up_when_it_is_stopped() {
    let options = Options::default().data_dir_name("deep".repeat(30));
    let mut yima = Yima::start(options.clone());
    let file = options.directory().join("backup");
    assert!(yima.stderr().contains("no backup can be made while this process runs"), "{}", yima.stderr());
    refused(&backup(&options, &file), &["another process"]);
    yima.stop();
    done(&backup(&options, &file));
}

#[test]
fn a_backup_that_is_killed_is_none() {
    // It pauses in the middle of its first backup.
    let options = Options::default().population(MANY).env("FAILPOINT", "row_backed_up:stop:60000");
    let mut yima = Yima::start(options);
    let file = yima.options().directory().join("backup");
    let part = file.with_extension("part");
    let write = || yima.options().command().env_remove("FAILPOINT").arg("backup").arg(&file).spawn();
    let mut killed = write().expect("yima can be run");
    yima.wait_until_paused();
    grows(&part);
    killed.kill().expect("a child can be killed");
    killed.wait().expect("a killed child ends");
    assert!(!file.exists());
    refused(&restore(&Options::default(), &part), &["nothing was restored", "cut short"]);
    yima.resume();
    // Over what the killed one left.
    done(&backup(yima.options(), &file));
    assert!(!part.exists());

    // The process that hands it out is killed.
    let (child, mut out) = half_taken(&yima);
    yima.kill9();
    out.read_to_end(&mut Vec::new()).expect("the rest");
    refused(&child.wait_with_output().expect("it ends"), &["the backup was not made"]);
}

/// A backup of which the beginning is taken, and no more.
fn half_taken(yima: &Yima) -> (Child, ChildStdout) {
    let mut command = yima.options().command();
    command.env_remove("FAILPOINT").args(["backup", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("yima can be run");
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 1_000]).expect("the beginning");
    (child, out)
}

#[test]
fn a_stop_ends_a_backup_under_way() {
    let mut yima = Yima::start(Options::default().population(MANY));
    let (child, mut out) = half_taken(&yima);
    assert_eq!(yima.stop().code(), Some(0), "{}", yima.stderr());
    assert!(yima.stderr().contains("a backup was not handed out whole"), "{}", yima.stderr());
    out.read_to_end(&mut Vec::new()).expect("the rest");
    refused(&child.wait_with_output().expect("it ends"), &["the backup was not made"]);
}

#[test]
fn a_restore_that_is_killed_is_not_believed_and_can_be_run_again() {
    let mut yima = Yima::start(Options::default().population(100));
    let file = yima.options().directory().join("backup");
    let session = yima.options().print(&["sessions", "--count", "1"]).remove(0);
    let shown = content(yima.display(&session).json(200));
    done(&backup(yima.options(), &file));
    yima.stop();
    for point in [
        "row_restored:kill:150",
        "part_restored:kill:1",
        "part_restored:kill:2",
        "part_restored:kill:3",
        "part_restored:kill:4",
    ] {
        let fresh = Options::default().population(100);
        let killed = run(fresh.command().env("FAILPOINT", point).arg("restore").arg(&file));
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
        refuses(&fresh, &["did not finish", "yima restore"]);
        refused(&backup(&fresh, &fresh.directory().join("backup")), &["did not finish"]);
        done(&restore(&fresh, &file));
        let restored = Yima::start(fresh);
        assert_eq!(content(restored.display(&session).json(200)), shown, "{point}");
    }
}
