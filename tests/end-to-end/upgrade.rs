//! Data directories of earlier programs. The one of each format stays here for good: see
//! `tests/end-to-end/fixtures/make-data-dir`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use yima_harness::{Options, Yima, new_person, until};
use yima_schema::time::HOUR;

use crate::backup;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line in JSON")).collect()
}

#[test]
fn a_data_directory_of_format_1_is_opened_served_and_written() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let options = Options::default().unlimited();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(fixtures.join("data-dir-1.tar.gz")).arg("-C").arg(options.directory());
    assert!(tar.status().expect("tar").success());
    let mut yima = Yima::start(options);
    let shown = lines(include_str!("fixtures/data-dir-1.displays.ndjson"));
    assert_eq!(shown.len(), 3);
    // Views of an earlier program are derived again in the background: their versions rise and nothing else changes.
    for person in &shown {
        let session = yima.citizen_session(person["document"].as_str().expect("a number"));
        until("the view is derived again", Duration::from_secs(10), || {
            let mut display = yima.display(&session).json(200);
            let version = std::mem::replace(&mut display["version"], person["shown"]["version"].clone());
            assert_eq!(display, person["shown"]);
            version != person["shown"]["version"]
        });
    }
    for session in yima.options().print(&["sessions", "--count", "20"]) {
        let body = yima.display(&session).json(200);
        assert!(body["identity"]["name"].is_string() && body["colour"]["code"] != "none", "{body}");
    }

    // Events are recognized by id, revision and the hash of their content, so that hash must never change.
    let events = lines(include_str!("fixtures/data-dir-1.ndjson"));
    let lab = yima.agency_token("lab-7");
    for answer in yima.rows(&lab, &events) {
        assert_eq!(answer["status"], "duplicate", "{answer}");
    }
    let green = shown[0]["document"].as_str().expect("a number");
    let mut event = new_person().test("new-1", "positive", HOUR);
    event["subject"]["document_number"] = green.into();
    assert_eq!(yima.event(&lab, &event), "accepted");
    yima.restart();
    assert_eq!(yima.shown(&yima.citizen_session(green)).0, "red");

    // The new event is in a backup, and present after a restore.
    let (file, fresh) = (yima.options().directory().join("backup"), Options::default());
    let [option, key] = backup::key(&fresh);
    yima.options().print(&["backup".as_ref(), file.as_os_str(), &option, &key]);
    fresh.print(&["restore".as_ref(), file.as_os_str(), &option, &key]);
    let restored = Yima::start(fresh);
    assert_eq!(restored.shown(&restored.citizen_session(green)).0, "red");
}
