//! Corrections of FHIR resources: the same revision with another status, and results that move to another patient.

use serde_json::{Value, json};
use yima_harness::{Person, Yima, ago, new_person};
use yima_schema::time::HOUR;

use crate::shared;

fn result(id: &str, person: &Person, status: &str, version: &Value, snomed: &str) -> Value {
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

const POSITIVE: &str = "260373001";
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
