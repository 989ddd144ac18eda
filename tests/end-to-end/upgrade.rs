//! Data directories of earlier programs. The one of each format stays here for good: see
//! `tests/end-to-end/fixtures/make-data-dir`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, new_person, until};
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::{HOUR, Time};
use yima_schema::view::View;
use yima_store::ViewReader;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

use crate::backup;
use crate::phones::Tokens;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line in JSON")).collect()
}

/// The data directory of a format.
fn unpack(format: &str) -> Options {
    let options = Options::default().unlimited();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(fixture(&format!("data-dir-{format}.tar.gz"))).arg("-C").arg(options.directory());
    assert!(tar.status().expect("tar").success());
    options
}

/// yima on the data directory of a format.
fn open(format: &str) -> Yima {
    Yima::start(unpack(format))
}

/// The display that an earlier program showed, except that views which are derived again have a higher version.
fn is_shown(yima: &Yima, person: &Value) -> bool {
    let session = yima.citizen_session(person["document"].as_str().expect("a number"));
    let mut display = yima.display(&session).json(200);
    let version = std::mem::replace(&mut display["version"], person["shown"]["version"].clone());
    assert_eq!(display, person["shown"]);
    version != person["shown"]["version"]
}

/// Events are recognized by id, revision and the hash of their content, so that hash must never change.
fn assert_duplicates(yima: &Yima, media_type: &str, rows: &str) {
    let answers = yima.push(&yima.agency_token("lab-7"), media_type, rows.as_bytes()).rows();
    assert_eq!(answers.len(), rows.lines().count());
    for answer in answers {
        assert_eq!(answer["status"], "duplicate", "{answer}");
    }
}

/// A new event changes a person's display for good, and is in a backup and present after a restore.
fn assert_written(mut yima: Yima, document: &str) {
    let mut event = new_person().test("new-1", "positive", HOUR);
    event["subject"]["document_number"] = document.into();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &event), "accepted");
    yima.restart();
    assert_eq!(yima.shown(&yima.citizen_session(document)).0, "red");

    let (file, fresh) = (yima.options().directory().join("backup"), Options::default());
    let [option, key] = backup::key(&fresh);
    yima.options().print(&["backup".as_ref(), file.as_os_str(), &option, &key]);
    fresh.print(&["restore".as_ref(), file.as_os_str(), &option, &key]);
    let restored = Yima::start(fresh);
    assert_eq!(restored.shown(&restored.citizen_session(document)).0, "red");
}

#[test]
fn a_data_directory_of_format_1_is_opened_served_and_written() {
    let yima = open("1");
    let shown = lines(include_str!("fixtures/data-dir-1.displays.ndjson"));
    assert_eq!(shown.len(), 3);
    // Views of an earlier program are derived again in the background: their versions rise and nothing else changes.
    for person in &shown {
        until("the view is derived again", Duration::from_secs(10), || is_shown(&yima, person));
    }
    for session in yima.options().print(&["sessions", "--count", "20"]) {
        let body = yima.display(&session).json(200);
        assert!(body["identity"]["name"].is_string() && body["colour"]["code"] != "none", "{body}");
    }
    assert_duplicates(&yima, "application/x-ndjson", include_str!("fixtures/data-dir-1.ndjson"));
    assert_written(yima, shown[0]["document"].as_str().expect("a number"));
}

/// Beside what format 1 has: events with a rank, results that moved to another patient, ended sessions.
#[test]
fn a_data_directory_of_format_2_is_opened_served_and_written() {
    let yima = open("2");
    let shown = lines(include_str!("fixtures/data-dir-2.displays.ndjson"));
    assert_eq!(shown.len(), 5);
    for person in &shown {
        is_shown(&yima, person);
    }
    let statuses: Vec<_> =
        include_str!("fixtures/data-dir-2.sessions").lines().map(|session| yima.display(session).status).collect();
    assert_eq!(statuses, [401, 200], "the session that was signed out, and another one of the person");
    let fhir = include_str!("fixtures/data-dir-2.fhir.ndjson");
    assert_duplicates(&yima, "application/x-ndjson", include_str!("fixtures/data-dir-2.ndjson"));
    assert_duplicates(&yima, "application/fhir+ndjson", fhir);

    // A later version moves the result back to the first person.
    let moved = |version: &str| {
        let mut resources = lines(fhir).into_iter();
        resources.find(|resource| resource["id"] == "moved" && resource["meta"]["versionId"] == version).expect("it")
    };
    let (mut back, second) = (moved("1"), moved("2"));
    back["meta"]["versionId"] = json!("3");
    let tests = |resource: &Value| {
        let document = resource["subject"]["identifier"]["value"].as_str().expect("a number");
        let display = yima.display(&yima.citizen_session(document)).json(200);
        display["tests"].as_array().expect("a list").len()
    };
    assert_eq!([tests(&back), tests(&second)], [1, 1]);
    let sent = yima.push(&yima.agency_token("lab-7"), "application/fhir+json", back.to_string().as_bytes());
    assert_eq!(sent.status, 201);
    assert_eq!([tests(&back), tests(&second)], [2, 0]);
    assert_written(yima, shown[0]["document"].as_str().expect("a number"));
}

/// Beside what format 2 has: a view of format 4, with phones, of which one was ended, and a printed code that was revoked.
#[tokio::test]
async fn a_data_directory_with_phones_and_printed_codes_is_opened_served_and_written() {
    let options = unpack("2-phones");
    let mut names = include_str!("fixtures/data-dir-2-phones.sessions").lines();
    let [ended, session, phone, ended_phone, paper] = [(); 5].map(|()| names.next().expect("five lines"));
    let shown = lines(include_str!("fixtures/data-dir-2-phones.displays.ndjson"));
    assert_eq!(shown.len(), 2);
    let document = shown[1]["document"].as_str().expect("a number");
    // The ends of printed codes leave a view a month later: this is how it was stored.
    let view = stored_view(&options, document).await;
    let id = |hex: &str| u64::from_str_radix(hex, 16).expect("16 hexadecimal digits");
    assert!(view.phones.find(id(phone)).is_some() && view.phones.find(id(ended_phone)).is_none());
    assert!(view.ended_sessions.contains_id(id(paper), Time::MAX));
    assert!(!view.ended_sessions.contains_id(id(paper) ^ 1, Time::MAX));

    tokio::task::spawn_blocking(move || {
        let yima = Yima::start(options);
        let document = shown[1]["document"].as_str().expect("a number");
        for person in &shown {
            is_shown(&yima, person);
        }
        assert_eq!([ended, session].map(|session| yima.display(session).status), [401, 200]);
        let listed = yima.http().get(&format!("{}/v1/phones", yima.read_url()), session).json(200);
        let listed: Vec<_> = listed["phones"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert_eq!(listed, [phone]);
        let guard = yima.checkpoint_session();
        let reason = || yima.scan(&guard, &Tokens::fetch(&yima, session, phone).show())["reason"].clone();
        assert_eq!(reason(), "green");
        let end = |phone: &str| {
            let (url, bearer) = (format!("{}/v1/phones/{phone}", yima.read_url()), format!("Bearer {session}"));
            yima.http().send("DELETE", &url, &[("authorization", &bearer)], None).expect("a whole answer").status
        };
        assert_eq!([end(ended_phone), end(phone), end(phone)], [404, 204, 404]);
        assert_written(yima, document);
    })
    .await
    .expect("the checks");
}

/// The view of a person, as it is in the data directory.
async fn stored_view(options: &Options, document: &str) -> View {
    let key = PseudonymKey::from_bytes(&options.key("pseudonym.key"));
    let store =
        EmbeddedStore::open(&options.data_dir().join("store"), EmbeddedOptions::new("local", key.fingerprint()));
    let subject = key.subject(&Document::new(DocumentType::CnResidentId, document).expect("a valid number"));
    let found = store.expect("a store").lookup(subject).await.expect("a lookup").expect("a view");
    View::decode(&found.view).expect("a view")
}
