//! `yima restore`: which files it refuses, and the displays of phones that have seen more than the backup has.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use yima_harness::{Options, Person, Reply, Yima, new_person, require_root, until};
use yima_schema::derive::derive;
use yima_schema::rules::Rules;
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::HOUR;
use yima_schema::view::Version;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{EventReader, ViewReader, WriterStore};

use super::{PATIENCE, assert_done, assert_refused, backup, key, restore, run};
use crate::start_stop::assert_refuses_start;

/// A display requested with the entity tag of an earlier one.
fn display_after(yima: &Yima, session: &str, tag: &str) -> Reply {
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
    yima.http().get_with(&format!("{}/v1/display", yima.read_url()), &headers).expect("a whole answer")
}

/// A display without its version.
fn content(mut body: Value) -> Value {
    body["version"].take();
    body
}

/// Sends events about ever new people until `stop`, and records the acknowledged ones in their order.
fn send_events(yima: &Yima, lab: &str, acknowledged: &Mutex<Vec<(Person, Value)>>, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let person = new_person();
        let event = person.test(&format!("s-{n}"), "positive", HOUR);
        assert_eq!(yima.event(lab, &event), "accepted");
        acknowledged.lock().expect("no thread panicked").push((person, event));
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_restored_backup_has_all_acknowledged_before_it_and_answers_phones_that_saw_more() {
    let mut yima = Yima::start(Options::default().unlimited().population(500));
    let lab = yima.agency_token("lab-7");
    let (changed, file) = (new_person(), yima.options().directory().join("backup"));
    yima.event(&lab, &changed.test("c-1", "negative", HOUR * 3));
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let before = thread::scope(|scope| {
        // Also on a failure, or the sender would never end.
        let _stop_on_drop = StopOnDrop(&stop);
        scope.spawn(|| send_events(&yima, &lab, &acknowledged, &stop));
        until("30 events", PATIENCE, || acknowledged.lock().unwrap().len() >= 30);
        let before = acknowledged.lock().unwrap().clone();
        let stderr = assert_done(&backup(yima.options(), &file));
        assert!(stderr.contains("all that was acknowledged before 20"), "{stderr}");
        until("30 more events", PATIENCE, || acknowledged.lock().unwrap().len() >= before.len() + 30);
        before
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let late = &acknowledged.last().expect("an event").0;
    // One phone has seen two versions more than the backup has, the other a person who is not in the backup.
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
    assert_eq!(display_after(&yima, &changed_session, &tags[0]).status, 304);
    yima.kill9();

    let fresh = Options::default().unlimited();
    let stderr = assert_done(&restore(&fresh, &file));
    assert!(stderr.contains("IS NOT IN IT") && stderr.contains("epoch 2"), "{stderr}");
    let mut restored = Yima::start(fresh.clone());
    for (session, shown) in &sessions {
        assert_eq!(content(restored.display(session).json(200)), *shown);
    }
    let answer = display_after(&restored, &changed_session, &tags[0]).json(200);
    assert_eq!(content(answer.clone()), content(shown));
    assert!(answer["version"].as_u64() >= Some(Version::floor(2).0), "{answer}");
    assert_eq!(display_after(&restored, &late_session, &tags[1]).json(200)["colour"]["code"], "none");
    for (_, event) in &before {
        assert_eq!(restored.event(&lab, event), "duplicate", "{event} was acknowledged before the backup");
    }
    assert_eq!(restored.event(&lab, &acknowledged.last().expect("an event").1), "accepted");
    let newer = [&changed_session, &late_session].map(|session| restored.display(session).header("etag").to_owned());
    restored.stop();
    assert_consistent(&fresh.data_dir(), acknowledged.iter().map(|(person, _)| person).chain([&changed]));

    // The same backup is restored again, with the same epoch, after phones have seen views
    // made since the first restore.
    let again = Options::default().unlimited();
    assert_done(&restore(&again, &file));
    let again = Yima::start(again);
    for (session, tag) in [&changed_session, &late_session].into_iter().zip(&newer) {
        assert_eq!(display_after(&again, session, tag).status, 200);
    }
}

/// Opens the store: each view is the fold of its subject's events, no mark is left, and the epoch was raised.
#[tokio::main(flavor = "current_thread")]
async fn assert_consistent<'a>(data_dir: &Path, people: impl Iterator<Item = &'a Person>) {
    let secret = fs::read(data_dir.join("keys/pseudonym.key")).expect("the key").try_into().expect("32 bytes");
    let (key, rules) = (PseudonymKey::from_bytes(&secret), Rules::built_in());
    let options = EmbeddedOptions::new("local", key.fingerprint());
    let store = EmbeddedStore::open(&data_dir.join("store"), options).expect("a store");
    assert!(store.unsettled().await.expect("marks").is_empty(), "a mark is left");
    assert_eq!(store.epoch(), 2);
    let mut views = 0;
    for person in people {
        let subject = key.subject(&Document::new(DocumentType::CnResidentId, &person.document).expect("a number"));
        let events = store.events(&[subject]).await.expect("events").remove(0);
        match store.lookup(subject).await.expect("a lookup") {
            None => assert!(events.is_empty(), "events without a view"),
            Some(found) => {
                assert!(found.view == derive(&events, &rules).encode(), "a view is not the fold of its events");
                assert!(found.version >= Version::floor(2), "a version of the earlier epoch");
                views += 1;
            }
        }
    }
    assert!(views > 30);
}

#[test]
fn a_damaged_or_incomplete_backup_restores_nothing() {
    let mut yima = Yima::start(Options::default());
    let file = yima.options().directory().join("backup");
    assert_done(&backup(yima.options(), &file));
    assert_refused(&backup(yima.options(), &file), &["exists"]);
    yima.stop();
    let whole = fs::read(&file).expect("a backup");
    let fresh = Options::default();
    let damaged = fresh.directory().join("bad");
    let assert_restores_nothing = |bytes: &[u8], words: &[&str]| {
        fs::write(&damaged, bytes).expect("a file");
        assert_refused(&restore(&fresh, &damaged), &[&["nothing was restored"], words].concat());
        assert!(!fresh.data_dir().exists(), "a data directory is left after {words:?}");
    };
    // A prime step hits every part of the format.
    for at in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        assert_restores_nothing(&flipped, &[]);
    }
    for length in (0..whole.len()).step_by(211).chain([whole.len() - 1]) {
        assert_restores_nothing(&whole[..length], &[]);
    }
    assert_restores_nothing(&whole[..whole.len() - 1], &["cut short"]);
    assert_restores_nothing(&[&whole[..], b"x"].concat(), &["damaged"]);
    assert_restores_nothing(b"# something else\n", &["not an encrypted backup of yima"]);
    // What an earlier program wrote: anyone could replace a key in it and correct the checksums.
    assert_restores_nothing(&[b"yimaback", &1_u32.to_be_bytes()[..]].concat(), &["not encrypted"]);
    let [option, other] = ["--passphrase-file".into(), fresh.directory().join("passphrase").into_os_string()];
    fs::write(&other, "correct horse battery staple").expect("a file");
    let other = run(fresh.command().arg("restore").arg(&file).args([option, other]));
    assert_refused(&other, &["nothing was restored", "not made with this key or passphrase"]);
    assert!(!fresh.data_dir().exists());

    fs::create_dir(fresh.data_dir()).expect("a directory");
    fs::create_dir(fresh.data_dir().join("lost+found")).expect("a directory");
    fs::write(fresh.data_dir().join("mine"), b"x").expect("a file");
    assert_refused(&restore(&fresh, &file), &["not empty", "mine"]);
    fs::remove_file(fresh.data_dir().join("mine")).expect("a file");
    assert_done(&restore(&fresh, &file));
    assert_refused(&restore(&fresh, &file), &["not empty"]);
    let running = Yima::start(fresh.clone());
    assert_refused(&restore(running.options(), &file), &["not empty"]);
    assert_refused(
        &run(running.options().command().args(["--store", "cql", "backup"]).arg(&damaged).args(key(&fresh))),
        &["--store cql", "keys/"],
    );
}

#[test]
fn as_root_a_restore_into_the_directory_of_another_user_names_the_command_to_use() {
    require_root();
    let (yima, fresh) = (Yima::start(Options::default()), Options::default());
    let file = yima.options().directory().join("backup");
    assert_done(&backup(yima.options(), &file));
    fs::create_dir(fresh.data_dir()).expect("a directory");
    let owned_by = |uid| chown(fresh.data_dir(), Some(uid), None).expect("root may");
    owned_by(12_345);
    assert_refused(&restore(&fresh, &file), &["sudo -u '#12345'"]);
    owned_by(0);
    assert_done(&restore(&fresh, &file));
}

#[test]
fn a_killed_restore_is_refused_at_start_and_can_be_repeated() {
    let mut yima = Yima::start(Options::default().population(100));
    let file = yima.options().directory().join("backup");
    let session = yima.options().print(&["sessions", "--count", "1"]).remove(0);
    let shown = content(yima.display(&session).json(200));
    assert_done(&backup(yima.options(), &file));
    yima.stop();
    for point in [
        "row_restored:kill:150",
        "part_restored:kill:1",
        "part_restored:kill:2",
        "part_restored:kill:3",
        "part_restored:kill:4",
    ] {
        let fresh = Options::default().population(100);
        let killed = run(fresh.command().env("FAILPOINT", point).arg("restore").arg(&file).args(key(&fresh)));
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
        assert_refuses_start(&fresh, &["did not finish", "yima restore"]);
        assert_refused(&backup(&fresh, &fresh.directory().join("backup")), &["did not finish"]);
        assert_done(&restore(&fresh, &file));
        let restored = Yima::start(fresh);
        assert_eq!(content(restored.display(&session).json(200)), shown, "{point}");
    }
}
