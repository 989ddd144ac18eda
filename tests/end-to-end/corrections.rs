//! Corrections of FHIR resources: the same revision with another status, and results that move to another patient.

use serde_json::{Value, json};
use yima_harness::{Person, Yima, ago, new_person};
use yima_schema::time::HOUR;

use crate::shared;

pub fn result(id: &str, person: &Person, status: &str, version: &Value, snomed: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": status, "meta": version, "effectiveDateTime": ago(HOUR),
        "subject": {"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": person.document}},
        "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]},
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": snomed}]}
    })
}

fn send(yima: &Yima, resource: &Value) -> u16 {
    yima.push(&yima.agency_token("lab-1"), "application/fhir+json", resource.to_string().as_bytes()).status
}

fn colour(yima: &Yima, person: &Person) -> (Value, bool) {
    let display = yima.display(&yima.citizen_session(&person.document)).json(200);
    (display["colour"]["code"].clone(), display["conflict"] == true)
}

pub const POSITIVE: &str = "260373001";
const NEGATIVE: &str = "260415000";

#[test]
fn a_corrected_resource_of_the_same_version_counts_in_either_order() {
    let (yima, version) = (shared(), json!({"lastUpdated": "2026-09-20T08:00:00Z"}));
    for (order, id) in [([0, 1, 2], "rank-1"), ([2, 1, 0], "rank-2"), ([1, 0, 2], "rank-3")] {
        let person = new_person();
        let versions = [
            result(id, &person, "final", &version, POSITIVE),
            result(id, &person, "corrected", &version, NEGATIVE),
            result(id, &person, "entered-in-error", &version, NEGATIVE),
        ];
        for n in order {
            assert_eq!(send(&yima, &versions[n]), 201, "{order:?}");
            assert_eq!(send(&yima, &versions[n]), 200, "sent again it is a duplicate");
        }
        assert_eq!(colour(&yima, &person), (json!("green"), false), "{order:?}");
    }
    let person = new_person();
    assert_eq!(send(&yima, &result("rank-4", &person, "final", &version, NEGATIVE)), 201);
    assert_eq!(send(&yima, &result("rank-4", &person, "corrected", &version, POSITIVE)), 201);
    assert_eq!(colour(&yima, &person).0, "red");
    let other = result("rank-4", &person, "amended", &version, NEGATIVE);
    assert_eq!(send(&yima, &other), 409, "two corrections of one version contradict each other");
}

#[test]
fn a_correction_moves_a_result_to_another_patient_in_either_order() {
    let yima = shared();
    let version = |n: u32| json!({"versionId": n.to_string()});
    for (id, reversed) in [("move-1", false), ("move-2", true)] {
        let [first, second] = [(); 2].map(|()| new_person());
        let mut versions = [
            result(id, &first, "final", &version(1), POSITIVE),
            result(id, &second, "corrected", &version(2), POSITIVE),
        ];
        if reversed {
            versions.reverse();
        }
        for resource in &versions {
            assert_eq!(send(&yima, resource), 201);
        }
        assert_eq!(colour(&yima, &first), (json!("green"), false), "{id}");
        assert_eq!(colour(&yima, &second), (json!("red"), false), "{id}");
        // And back.
        assert_eq!(send(&yima, &result(id, &first, "corrected", &version(3), POSITIVE)), 201);
        assert_eq!((colour(&yima, &first).0, colour(&yima, &second).0), (json!("red"), json!("green")), "{id}");
    }
    // Another agency's resource of that id is another resource.
    let third = new_person();
    let other = result("move-1", &third, "final", &version(9), NEGATIVE);
    let sent = yima.push(&yima.agency_token("lab-2"), "application/fhir+json", other.to_string().as_bytes());
    assert_eq!(sent.status, 201);
    assert_eq!(colour(&yima, &third), (json!("green"), false));
}

#[test]
fn one_version_for_two_patients_stays_with_both_as_a_conflict() {
    let yima = shared();
    let persons = [(); 2].map(|()| new_person());
    for person in &persons {
        assert_eq!(send(&yima, &result("both", person, "final", &json!({"versionId": "1"}), POSITIVE)), 201);
    }
    for person in &persons {
        assert_eq!(colour(&yima, person), (json!("red"), true));
    }
}

/// A dose of a vaccine, by its CVX code; the id has its version.
fn dose(id: &str, person: &Person, version: u32, cvx: &str) -> Value {
    json!({
        "resourceType": "Immunization", "id": id, "status": "completed", "meta": {"versionId": version.to_string()},
        "occurrenceDateTime": ago(HOUR),
        "patient": {"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": person.document}},
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": cvx}]}
    })
}

fn with_code(mut resource: Value, loinc: &str) -> Value {
    resource["code"]["coding"][0]["code"] = loinc.into();
    resource
}

const GLUCOSE: &str = "2345-7";
const INFLUENZA: &str = "141";

/// Status and words of the answer to one resource.
fn answer(yima: &Yima, resource: &Value) -> (u16, String) {
    let reply = yima.push(&yima.agency_token("lab-1"), "application/fhir+json", resource.to_string().as_bytes());
    let outcome: Value = serde_json::from_str(reply.text()).expect("an OperationOutcome");
    (reply.status, outcome["issue"][0]["diagnostics"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_correction_to_what_does_not_count_takes_the_earlier_version_back_and_says_so() {
    let (yima, version) = (shared(), |n: u32| json!({"versionId": n.to_string()}));
    let later =
        |id: &str, person: &Person, status: &str| with_code(result(id, person, status, &version(2), POSITIVE), GLUCOSE);
    for (id, status) in [("code-1", "corrected"), ("code-2", "final"), ("code-3", "cancelled")] {
        let person = new_person();
        assert_eq!(send(&yima, &result(id, &person, "final", &version(1), POSITIVE)), 201);
        assert_eq!(colour(&yima, &person).0, "red");
        let (code, words) = answer(&yima, &later(id, &person, status));
        assert_eq!(code, 201, "{words}");
        assert!(words.starts_with("accepted: the earlier version is taken back: not a test"), "{words}");
        assert_eq!(colour(&yima, &person), (json!("green"), false), "{id}");
        assert_eq!(send(&yima, &later(id, &person, status)), 200, "sent again it is a duplicate");
        let older = with_code(result(id, &person, status, &version(0), POSITIVE), GLUCOSE);
        assert_eq!(answer(&yima, &older).1, "ignored: not a test for SARS-CoV-2 that counts here (by its LOINC code)");
    }
    // To another person, of one revision, with the result beside it in one Bundle, and from an unknown person.
    let [first, second] = [(); 2].map(|()| new_person());
    assert_eq!(send(&yima, &result("code-4", &first, "final", &version(2), POSITIVE)), 201);
    assert_eq!(send(&yima, &later("code-4", &second, "corrected")), 201, "of one revision a correction goes first");
    assert_eq!(colour(&yima, &first), (json!("green"), false));
    let entries = [later("code-5", &first, "final"), result("code-5", &first, "final", &version(1), POSITIVE)];
    let bundle = json!({"resourceType": "Bundle", "type": "collection",
        "entry": entries.map(|resource| json!({"resource": resource}))});
    assert_eq!(send(&yima, &bundle), 200);
    assert_eq!(colour(&yima, &first), (json!("green"), false), "in either order");
    assert_eq!(send(&yima, &result("code-6", &second, "final", &version(1), POSITIVE)), 201);
    let mut nobodys = later("code-6", &second, "corrected");
    nobodys["subject"] = json!({"display": "somebody"});
    assert_eq!(answer(&yima, &nobodys).0, 400, "nobody can tell whose result is corrected");
    assert_eq!(colour(&yima, &second).0, "red");
    // What never counted stays ignored, whatever its version.
    assert_eq!(send(&yima, &later("code-7", &first, "corrected")), 200);
    nobodys["id"] = "code-8".into();
    assert_eq!(send(&yima, &nobodys), 200);
}

#[test]
fn a_dose_corrected_to_another_vaccine_counts_no_more() {
    let yima = shared();
    let person = new_person();
    let doses = || yima.display(&yima.citizen_session(&person.document)).json(200)["vaccination"]["doses"].clone();
    assert_eq!(send(&yima, &dose("vaccine-1", &person, 1, "208")), 201);
    assert_eq!(doses(), 1);
    let (code, words) = answer(&yima, &dose("vaccine-1", &person, 2, INFLUENZA));
    assert!(code == 201 && words.contains("taken back: not a COVID-19 vaccine"), "{code} {words}");
    assert_eq!(doses(), 0);

    let lab = yima.agency_token("lab-1");
    let mut event = person.event("v-1", "vaccination", &ago(HOUR), json!({"vaccine": "208"}));
    assert_eq!(yima.event(&lab, &event), "accepted");
    assert_eq!(doses(), 1);
    event["data"]["vaccine"] = INFLUENZA.into();
    event["revision"] = 1.into();
    let answers = yima.rows(&lab, std::slice::from_ref(&event));
    assert_eq!(answers[0]["status"], "accepted");
    assert_eq!(answers[0]["reason"], "the earlier version is taken back: not a COVID-19 vaccine (by its CVX code)");
    assert_eq!(doses(), 0);
    assert_eq!(yima.event(&lab, &event), "duplicate");
    event["id"] = "v-2".into();
    assert_eq!(yima.event(&lab, &event), "ignored");
}
