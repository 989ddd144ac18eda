//! Codes of tests that a laboratory uses: a positive result under an unknown code is never lost without a word, and the
//! operator adds the code while the process runs.

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Person, Yima, ago, new_person, until};
use yima_schema::time::HOUR;

/// Time for a change of the file to take effect; the process reads it every 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

fn positive(id: &str, person: &Person, loinc: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "effectiveDateTime": ago(HOUR),
        "subject": {"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": person.document}},
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260373001"}]}
    })
}

fn status(yima: &Yima, resource: &Value) -> u16 {
    yima.push(&yima.agency_token("lab-1"), "application/fhir+json", resource.to_string().as_bytes()).status
}

fn colour(yima: &Yima, person: &Person) -> Value {
    yima.display(&yima.citizen_session(&person.document)).json(200)["colour"]["code"].clone()
}

#[test]
fn a_code_added_while_the_process_runs_counts() {
    let options = Options::default();
    let path = options.directory().join("codes.toml");
    std::fs::write(&path, "").expect("the directory can be written");
    let yima = Yima::start(options.env("YIMA_WRITER__CODES_FILE", path.display()));
    let person = new_person();
    let unread = || yima.metric("unread_positives_total", &["code=\"99999-9\""]);

    assert_eq!(status(&yima, &positive("o-1", &person, "99999-9")), 400);
    assert_eq!(unread(), 1.0);
    std::fs::write(&path, "[tests.nucleic_acid]\n\"99999-9\" = \"new\"\n[test]\n").unwrap();
    let is_accepted = || yima.metric("writer_file_accepted", &["file=\"codes\""]) == 1.0;
    until("the refusal of the file", PATIENCE, || !is_accepted());
    assert_eq!(status(&yima, &positive("o-1", &person, "99999-9")), 400, "a file with an error changes nothing");

    std::fs::write(&path, "[tests.nucleic_acid]\n\"99999-9\" = \"new\"\n").unwrap();
    until("the file", PATIENCE, is_accepted);
    assert_eq!(status(&yima, &positive("o-1", &person, "99999-9")), 201);
    assert_eq!(colour(&yima, &person), "red");
    assert_eq!(unread(), 2.0);
}

#[test]
fn a_codes_file_with_an_error_refuses_the_start() {
    let options = Options::default();
    let path = options.directory().join("codes.toml");
    std::fs::write(&path, "[tests.pcr]\n").expect("the directory can be written");
    let Err(refused) = Yima::try_start(options.env("YIMA_WRITER__CODES_FILE", path.display())) else {
        panic!("it started")
    };
    assert_eq!(refused.exit.and_then(|exit| exit.code()), Some(3));
    assert!(refused.stderr.contains("writer.codes_file: tests.pcr: expected a known field"), "{}", refused.stderr);
}

#[test]
fn a_dead_letter_is_replayed_once_its_code_is_known() {
    let options = Options::default();
    let path = options.directory().join("codes.toml");
    std::fs::write(&path, "").expect("the directory can be written");
    let yima = Yima::start(options.env("YIMA_WRITER__CODES_FILE", path.display()));
    let letters = || yima.command(&["dead-letters", "list"]);
    let [bundled, alone] = [(); 2].map(|()| new_person());
    assert_eq!(letters(), [""; 0]);

    // The reference holds in its Bundle only: the letter remembers whom it named.
    let mut result = positive("o-2", &bundled, "99998-1");
    result["subject"] = json!({"reference": "urn:uuid:p"});
    let identifier = json!([{"system": "urn:oid:2.16.156.10011.1.3", "value": bundled.document}]);
    let patient = json!({"resourceType": "Patient", "name": [{"text": "Anna Lee"}], "identifier": identifier});
    let entries = json!([{"fullUrl": "urn:uuid:p", "resource": patient}, {"resource": result}]);
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
    let not_counted = positive("o-3", &alone, "99997-3");
    for _ in 0..2 {
        assert_eq!(status(&yima, &bundle), 200);
        assert_eq!(status(&yima, &not_counted), 400);
    }
    let listed = letters();
    assert_eq!(listed.len(), 2, "each row once: {listed:?}");
    assert!(listed.iter().all(|line| line.contains(" lab-1 9999") && line.contains(" /code/coding: expected ")));
    assert!(!listed.concat().contains(&bundled.document), "no person is named");
    let store = std::fs::read_dir(yima.data_dir().join("store")).expect("a store").flatten();
    for file in store.filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(7).any(|window| window == b"99998-1"), "a letter is sealed");
    }
    assert_eq!(yima.command(&["dead-letters", "replay"]), ["accepted=0 duplicate=0 ignored=0 rejected=2"]);
    assert_eq!(letters(), listed, "still not understood, and not kept twice");

    std::fs::write(&path, "[tests.nucleic_acid]\n\"99998-1\" = \"a\"\n[tests.not_counted]\n\"99997-3\" = \"b\"\n")
        .unwrap();
    until("the file", PATIENCE, || {
        yima.command(&["dead-letters", "replay"]);
        letters().is_empty()
    });
    assert_eq!(colour(&yima, &bundled), "red");
    assert_eq!(colour(&yima, &alone), "none", "its code does not count");
    assert_eq!(yima.metric("dead_letters_total", &["outcome=\"replayed\""]), 2.0);
}

#[test]
fn dead_letters_need_a_running_writer() {
    let options = Options::default();
    let output = options.command().args(["dead-letters", "list"]).output().expect("yima can be run");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no writer runs on this data directory"));
}
