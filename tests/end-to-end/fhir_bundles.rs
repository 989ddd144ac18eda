//! FHIR interactions: single resources, batches, transactions, and errors as `OperationOutcome`.

use serde_json::{Value, json};
use yima_harness::{Person, Reply, Yima, ago, new_person};
use yima_schema::time::{DAY, HOUR};

use crate::fhir::displays;
use crate::shared;

const FHIR: &str = "application/fhir+json";

fn post(yima: &Yima, resource: &Value) -> Reply {
    let reply = yima.push(&yima.agency_token("hospital-1"), FHIR, resource.to_string().as_bytes());
    assert_eq!(reply.header("content-type"), FHIR, "{}", reply.text());
    reply
}

/// Code and expression of each issue of an `OperationOutcome`.
fn issues(outcome: &Value) -> Vec<(&str, &str)> {
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let issues = outcome["issue"].as_array().expect("issues");
    assert!(issues.iter().all(|issue| issue["diagnostics"].is_string()), "{outcome}");
    issues
        .iter()
        .map(|i| (i["code"].as_str().unwrap_or_default(), i["expression"][0].as_str().unwrap_or_default()))
        .collect()
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"text": "Anna Lee"}]})
}

fn observation(id: &str, patient: &str, snomed: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": patient},
        "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]}, "effectiveDateTime": ago(HOUR),
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": snomed}]}
    })
}

fn put(resource: Value) -> Value {
    let field = |name: &str| resource[name].as_str().expect("a field of the resource").to_owned();
    let url = format!("{}/{}", field("resourceType"), field("id"));
    json!({"fullUrl": format!("urn:uuid:{url}"), "resource": resource, "request": {"method": "PUT", "url": url}})
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn statuses(reply: &Value) -> Vec<&str> {
    let entries = reply["entry"].as_array().expect("an entry for each resource");
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_single_resource_is_created_repeated_refused_or_ignored() {
    let yima = shared();
    let positive = observation("one-o", "Patient/one", "260373001");
    let created = post(&yima, &positive);
    assert_eq!(created.header("location"), "Observation/one-o/_history/0");
    assert_eq!(created.json(201)["issue"][0]["severity"], "information");
    let again = post(&yima, &positive);
    assert_eq!((again.status, again.header("location")), (200, ""), "a duplicate changes nothing");
    assert_eq!(displays(&yima, ["one"])["one"]["colour"]["code"], "red");
    let other = observation("one-o", "Patient/one", "260415000");
    assert_eq!(issues(&post(&yima, &other).json(409)), [("conflict", "Observation.meta.versionId")]);
    let mut pending = observation("one-p", "Patient/one", "260415000");
    pending["status"] = "preliminary".into();
    let diagnostics = post(&yima, &pending).json(200)["issue"][0]["diagnostics"].clone();
    assert_eq!(diagnostics, "ignored: the result is not final yet");
    pending["status"] = "unknown".into();
    assert_eq!(issues(&post(&yima, &pending).json(400)), [("value", "Observation.status")]);
}

#[test]
fn a_version_without_a_result_retracts_the_result_in_either_order() {
    type Change = dyn Fn(&mut Value);
    let yima = shared();
    let version = |n: u32, id: &str, patient: &str, change: &Change| {
        let mut resource = observation(id, patient, "260373001");
        resource["meta"] = json!({"versionId": n.to_string()});
        change(&mut resource);
        resource
    };
    let result = |_: &mut Value| {};
    let cancelled = |resource: &mut Value| resource["status"] = "cancelled".into();
    let absent = |resource: &mut Value| {
        resource["status"] = "corrected".into();
        resource.as_object_mut().expect("a resource").remove("valueCodeableConcept");
        resource["dataAbsentReason"] = json!({"text": "lost"});
    };
    let mistaken = |resource: &mut Value| {
        resource["status"] = "entered-in-error".into();
        let needed = ["resourceType", "id", "meta", "status", "subject"];
        resource.as_object_mut().expect("a resource").retain(|key, _| needed.contains(&key.as_str()));
    };
    let ways: [(&str, &Change); 3] = [("gone-c", &cancelled), ("gone-a", &absent), ("gone-m", &mistaken)];
    for (patient, change) in ways {
        let [now, later] = ["now", "later"].map(|n| format!("{patient}-{n}"));
        let reference = format!("Patient/{patient}");
        let colour = || displays(&yima, [patient])[patient]["colour"]["code"].clone();
        assert_eq!(post(&yima, &version(1, &now, &reference, &result)).status, 201);
        assert_eq!(colour(), "red");
        assert_eq!(post(&yima, &version(2, &now, &reference, change)).status, 201);
        assert_eq!(colour(), "green", "{patient}");
        assert_eq!(post(&yima, &version(2, &later, &reference, change)).status, 201);
        assert_eq!(post(&yima, &version(1, &later, &reference, &result)).status, 201);
        assert_eq!(colour(), "green", "{patient}");
        assert_eq!(post(&yima, &version(3, &later, &reference, &result)).status, 201, "a later version with a result");
        assert_eq!(colour(), "red", "{patient}");
    }
}

#[test]
fn a_result_belongs_to_the_subject_of_the_patients_identifier() {
    let yima = shared();
    let identifier = |person: &Person| json!({"system": "urn:oid:2.16.156.10011.1.3", "value": person.document});
    let colour =
        |person: &Person| yima.display(&yima.citizen_session(&person.document)).json(200)["colour"]["code"].clone();
    let [bundled, logical, neither] = [(); 3].map(|()| new_person());
    let mut known = patient("known");
    known["identifier"] = json!([identifier(&bundled)]);
    let result = observation("known-o", "urn:uuid:Patient/known", "260373001");
    assert_eq!(
        statuses(&post(&yima, &bundle("transaction", &[put(result), put(known)])).json(200)),
        ["201 Created"; 2]
    );
    assert_eq!(colour(&bundled), "red");
    let name = yima.display(&yima.citizen_session(&bundled.document)).json(200)["identity"]["name"].clone();
    assert_eq!(name, "A*** L**", "the Patient is of the same subject");

    let mut result = observation("logical-o", "Patient/known", "260373001");
    result["subject"]["identifier"] = identifier(&logical);
    assert_eq!(post(&yima, &result).status, 201);
    assert_eq!((colour(&logical), colour(&neither)), (json!("red"), json!("none")));

    // An id alone is a number of the hospital's own, whatever identifier it had in an earlier bundle.
    assert_eq!(post(&yima, &observation("local-o", "Patient/known", "260415000")).status, 201);
    assert_eq!(displays(&yima, ["known"])["known"]["colour"]["code"], "green");
}

#[test]
fn a_batch_accepts_or_refuses_each_entry_by_itself() {
    let yima = shared();
    let mut nameless = patient("batch-2");
    nameless["name"] = json!([]);
    let batch = bundle(
        "batch",
        &[
            put(patient("batch-1")),
            put(nameless),
            put(observation("batch-o", "urn:uuid:Patient/batch-1", "260373001")),
            json!({"request": {"method": "GET", "url": "Patient/batch-1"}}),
        ],
    );
    let answer = post(&yima, &batch).json(200);
    assert_eq!(answer["type"], "batch-response");
    assert_eq!(statuses(&answer), ["201 Created", "400 Bad Request", "201 Created", "400 Bad Request"]);
    assert_eq!(issues(&answer["entry"][1]["response"]["outcome"]), [("value", "Bundle.entry[1].resource.name")]);
    assert_eq!(issues(&answer["entry"][3]["response"]["outcome"]), [("value", "Bundle.entry[3].resource")]);
    assert_eq!(displays(&yima, ["batch-1"])["batch-1"]["colour"]["code"], "red", "a fullUrl is a reference");
}

#[test]
fn bundles_as_laboratories_send_them_turn_the_person_red_once() {
    let yima = shared();
    let post_entry = |resource: &Value| json!({"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}});
    for kind in ["transaction", "message", "collection"] {
        let person = new_person();
        let mut known = patient("");
        known["identifier"] = json!([{"system": "urn:oid:2.16.156.10011.1.3", "value": person.document}]);
        let mut result = observation("", "urn:uuid:p", "260373001");
        for resource in [&mut known, &mut result] {
            resource.as_object_mut().expect("a resource").remove("id");
        }
        let report = json!({"resourceType": "DiagnosticReport", "status": "final"});
        let specimen = json!({"resourceType": "Specimen"});
        let mut entries: Vec<_> = [&known, &specimen, &result, &report].into_iter().map(post_entry).collect();
        entries[0]["fullUrl"] = json!("urn:uuid:p");
        let answer = post(&yima, &bundle(kind, &entries)).json(200);
        assert_eq!(statuses(&answer), ["201 Created", "200 OK", "201 Created", "200 OK"], "{kind}");
        let diagnostics = &answer["entry"][3]["response"]["outcome"]["issue"][0]["diagnostics"];
        assert_eq!(diagnostics, "ignored: DiagnosticReport: not a Patient, Immunization or Observation");
        let colour = yima.display(&yima.citizen_session(&person.document)).json(200)["colour"]["code"].clone();
        assert_eq!(colour, "red", "{kind}");
        let again = post(&yima, &bundle(kind, &entries)).json(200);
        assert_eq!(statuses(&again), ["200 OK"; 4], "{kind}: sent again it changes nothing");
    }
}

#[test]
fn a_transaction_stores_all_entries_or_none() {
    let yima = shared();
    let colour = || displays(&yima, ["whole"])["whole"]["colour"].clone();
    let positive = put(observation("whole-o", "Patient/whole", "260373001"));
    let mut late = observation("whole-l", "Patient/whole", "260415000");
    late["effectiveDateTime"] = "2999".into();
    let broken = bundle("transaction", &[put(patient("whole")), positive.clone(), put(late)]);
    assert_eq!(
        issues(&post(&yima, &broken).json(400)),
        [("value", "Bundle.entry[2].resource.effectiveDateTime")],
        "the invalid entry, and no other"
    );
    assert_eq!(colour()["reason"], "not_registered", "an entry was stored");

    let whole = bundle("transaction", &[put(patient("whole")), positive]);
    let answer = post(&yima, &whole).json(200);
    assert_eq!(answer["entry"][1]["response"]["location"], "Observation/whole-o/_history/0");
    assert_eq!((answer["type"].as_str(), statuses(&answer)), (Some("transaction-response"), vec!["201 Created"; 2]));
    assert_eq!(colour()["code"], "red");
    assert_eq!(statuses(&post(&yima, &whole).json(200)), ["200 OK"; 2]);

    // One entry that conflicts with a stored event keeps the other one out.
    let conflict = bundle(
        "transaction",
        &[
            put(observation("whole-n", "Patient/whole-2", "260373001")),
            put(observation("whole-o", "Patient/whole", "260415000")),
        ],
    );
    assert_eq!(issues(&post(&yima, &conflict).json(409)), [("conflict", "Bundle.entry[1].resource.meta.versionId")]);
    assert_eq!(displays(&yima, ["whole-2"])["whole-2"]["colour"]["reason"], "not_registered");
}

#[test]
fn a_refused_request_gets_an_operation_outcome_if_it_speaks_fhir() {
    let yima = shared();
    let url = format!("{}/v1/events", yima.writer_url());
    let hospital = yima.agency_token("hospital-1");
    let reply = yima.http().post(&url, "not-a-token", FHIR, b"{}");
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer error=\"invalid_token\""));
    assert_eq!(issues(&reply.json(401)), [("login", "")]);
    for (body, code, status) in [("{", "structure", 400), ("{}", "value", 400)] {
        assert_eq!(issues(&yima.http().post(&url, &hospital, FHIR, body.as_bytes()).json(status))[0].0, code);
    }
    for kind in ["history", "searchset"] {
        assert_eq!(issues(&post(&yima, &bundle(kind, &[])).json(400)), [("value", "type")]);
    }
    assert_eq!(issues(&post(&yima, &bundle("batch", &[])).json(400)), [("value", "")]);
    let entries = vec![put(patient("many")); 2_001];
    assert_eq!(issues(&post(&yima, &bundle("transaction", &entries)).json(413)), [("too-long", "")]);
    // The most entries that a body can hold are empty ones.
    let reply = post(&yima, &bundle("batch", &vec![json!({}); 20_000]));
    assert!(reply.body.len() < 10_000_000, "{}", reply.body.len());
    assert!(statuses(&reply.json(200)).iter().all(|status| *status == "400 Bad Request"));
    assert_eq!(issues(&post(&yima, &bundle("batch", &vec![json!({}); 20_001])).json(413)), [("too-long", "")]);
    let bearer = format!("Bearer {hospital}");
    for condition in ["if-match", "if-none-match", "if-none-exist"] {
        let headers = [("authorization", bearer.as_str()), ("content-type", FHIR), (condition, "x")];
        let reply = yima.http().send("POST", &url, &headers, Some(patient("one").to_string().as_bytes()));
        assert_eq!(issues(&reply.expect("a whole answer").json(400)), [("value", "")], "{condition}");
    }
    // `Accept` counts as speaking FHIR, too.
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain"), ("accept", FHIR)];
    let reply = yima.http().send("POST", &url, &headers, Some(b"x")).expect("a whole answer");
    assert_eq!(issues(&reply.json(415)), [("not-supported", "")]);
    let event = new_person().test("t-1", "fine", DAY).to_string();
    let problem = yima.push(&hospital, "application/json", event.as_bytes());
    assert_eq!(problem.header("content-type"), "application/problem+json");
}
