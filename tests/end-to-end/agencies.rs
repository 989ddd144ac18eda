//! The registry of agencies: read again while the process runs, and asked only for events that are new.

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, new_person, now, until};
use yima_schema::time::HOUR;

/// Time for a change of the file to take effect; the process reads it every 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

const LABORATORY: &str = "[[agencies]]\nname = \"lab-1\"\nkinds = [\"test_result\"]\nzone = \"+14:00\"\n";

/// Starts with a registry of this content, and returns the file's path.
fn start(registry: &str) -> (Yima, std::path::PathBuf) {
    let options = Options::default();
    let path = options.directory().join("agencies.toml");
    std::fs::write(&path, registry).expect("the directory can be written");
    let yima = Yima::start(options.env("YIMA_WRITER__AGENCIES_FILE", path.display()));
    (yima, path)
}

/// Status and first pointer of the answer to an event.
fn answer(yima: &Yima, agency: &str, event: &Value) -> (u16, String) {
    let reply = yima.push(&yima.agency_token(agency), "application/json", event.to_string().as_bytes());
    let pointer = reply.json(reply.status)["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
    (reply.status, pointer)
}

#[test]
fn rights_are_taken_and_given_while_the_process_runs() {
    let (yima, path) = start(LABORATORY);
    let person = new_person();
    let positive = person.test("t-1", "positive", HOUR);
    let renamed = person.event("i-1", "identity", &now().to_string(), json!({"name": "Anna Lee"}));
    let red = json!({"colour": "red", "reason": "quarantine"});
    let assigned = person.event("a-1", "colour_assignment", &now().to_string(), red);
    assert_eq!(answer(&yima, "lab-1", &positive), (200, String::new()));
    assert_eq!(answer(&yima, "lab-1", &renamed), (403, "/kind".into()));
    assert_eq!(answer(&yima, "lab-1", &assigned), (403, "/kind".into()));
    assert_eq!(answer(&yima, "lab-2", &positive).0, 403, "it is not in the registry");
    let of_lab = |metric: &str, label: &str| yima.metric(metric, &["agency=\"lab-1\"", label]);
    assert_eq!(of_lab("agency_events_total", "kind=\"test_result\""), 1.0);
    assert_eq!(of_lab("agency_restrictions_total", "outcome=\"accepted\""), 1.0);

    std::fs::write(&path, format!("{LABORATORY}kind = 1\n")).unwrap();
    let is_accepted = || yima.metric("writer_file_accepted", &["file=\"agencies\""]) == 1.0;
    until("the refusal of the file", PATIENCE, || !is_accepted());
    assert_eq!(answer(&yima, "lab-1", &renamed).0, 403, "a file with an error changes nothing");

    std::fs::write(&path, "[[agencies]]\nname = \"lab-2\"\nkinds = [\"test_result\"]\n").unwrap();
    until("the file", PATIENCE, is_accepted);
    assert_eq!(answer(&yima, "lab-2", &person.test("t-2", "negative", HOUR)).0, 200);
    assert_eq!(answer(&yima, "lab-1", &person.test("t-2", "negative", HOUR)).0, 403, "its rights were taken");
    let again = yima.push(&yima.agency_token("lab-1"), "application/json", positive.to_string().as_bytes()).json(200);
    assert_eq!(again["status"], "duplicate", "what was accepted stays");
    let audited = || yima.http().get(&format!("{}/audit", yima.admin_url()), "").text().to_owned();
    until("both readings in the audit log", PATIENCE, || {
        let of_registry: Vec<_> =
            audited().lines().filter(|line| line.contains("\"file\":\"agencies\"")).map(str::to_owned).collect();
        of_registry.len() == 2 && of_registry[0].contains("false") && of_registry[1].contains("true")
    });
    assert_eq!(yima.display(&yima.citizen_session(&person.document)).json(200)["colour"]["code"], "red");
}

#[test]
fn a_laboratory_without_the_right_to_identities_sends_its_patient_beside_the_result() {
    let (yima, _path) = start(LABORATORY);
    let person = new_person();
    // Today's date in the agency's zone, where it is tomorrow already in UTC for most of the day.
    let today = now().plus(HOUR * 14).to_string()[..10].to_owned();
    let identifier = json!([{"system": "urn:oid:2.16.156.10011.1.3", "value": person.document}]);
    let entries = json!([
        {"fullUrl": "urn:uuid:p", "request": {"method": "POST", "url": "Patient"},
         "resource": {"resourceType": "Patient", "identifier": identifier, "name": [{"text": "Anna Lee"}]}},
        {"request": {"method": "POST", "url": "Observation"}, "resource": {
            "resourceType": "Observation", "id": "o-1", "status": "final", "effectiveDateTime": today,
            "subject": {"reference": "urn:uuid:p"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]},
            "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260373001"}]}}}
    ]);
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let reply = yima.push(&yima.agency_token("lab-1"), "application/fhir+json", bundle.to_string().as_bytes());
    let statuses = reply.json(200)["entry"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|e| e["response"]["status"].clone())
        .collect::<Vec<_>>();
    assert_eq!(statuses, ["200 OK", "201 Created"]);
    let display = yima.display(&yima.citizen_session(&person.document)).json(200);
    assert_eq!((&display["colour"]["code"], &display["identity"]["name"]), (&json!("red"), &Value::Null));
}

#[test]
fn a_registry_with_an_error_refuses_the_start() {
    let options = Options::default();
    let path = options.directory().join("agencies.toml");
    std::fs::write(&path, "[[agencies]]\nname = \"lab-1\"\nkinds = []\ncolour = \"red\"\n").expect("a file");
    let Err(refused) = Yima::try_start(options.env("YIMA_WRITER__AGENCIES_FILE", path.display())) else {
        panic!("it started")
    };
    assert_eq!(refused.exit.and_then(|exit| exit.code()), Some(3));
    assert!(refused.stderr.contains("writer.agencies_file: agencies"), "{}", refused.stderr);
}
