//! Persons of FHIR resources, and entries of Bundles.

use super::resources::{immunization, observation};
use super::*;

const RESIDENT: &str = "urn:oid:2.16.156.10011.1.3";
const PASSPORT: &str = "http://hl7.org/fhir/sid/passport-CHN";

fn identifier(system: &str, value: &str) -> Value {
    json!({"system": system, "value": value})
}

fn patient(id: &str, identifiers: &[Value]) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"text": "Anna"}], "identifier": identifiers})
}

fn entry(resource: Value, method: &str, url: &str) -> Value {
    json!({"fullUrl": "urn:uuid:1", "resource": resource, "request": {"method": method, "url": url}})
}

/// The masked document of a row's event.
fn document(row: DecodedRow) -> String {
    row.event.unwrap().event.document
}

#[test]
fn a_person_is_known_by_identifiers_of_known_systems() {
    let own = identifier("urn:oid:1.2.3", "7");
    let resident = identifier(RESIDENT, "610102199003070016");
    let passport = identifier(PASSPORT, "e12345678");
    let mut old = identifier(RESIDENT, "11010519491231002X");
    old["use"] = json!("old");
    let of = |identifiers: &[Value]| document(decode_fhir(&patient("p1", identifiers)));
    assert_eq!(of(std::slice::from_ref(&own)), "lab-7/**");
    assert_eq!(of(&[own.clone(), passport.clone(), resident.clone()]), "610102********0016", "whatever their order");
    assert_eq!(of(&[old.clone(), passport]), "E******78");
    assert_eq!(of(&[old]), "lab-7/**");
    let subject = |row: DecodedRow| row.event.unwrap().event.subject;
    let as_patient = subject(decode_fhir(&patient("p1", std::slice::from_ref(&resident))));
    assert!(as_patient == subject(decode_event(&test_result())), "the same person as in an event");

    let mut logical = observation();
    logical["subject"] = json!({"identifier": resident});
    assert!(subject(decode_fhir(&logical)) == as_patient);
    logical["subject"]["reference"] = json!("Patient/p1");
    assert!(subject(decode_fhir(&logical)) == as_patient, "the identifier decides");
    logical["subject"]["identifier"] = own;
    assert_eq!(document(decode_fhir(&logical)), "lab-7/**");
    logical["subject"]["identifier"] = identifier(RESIDENT, "610102199003070015");
    assert_eq!(error_pointers(decode_fhir(&logical)), ["/subject/identifier/value"]);
    let numberless = patient("p1", &[resident, json!({"system": PASSPORT})]);
    assert_eq!(error_pointers(decode_fhir(&numberless)), ["/identifier/1/value"]);
    let mut no_list = patient("p1", &[]);
    no_list["identifier"] = json!({});
    assert_eq!(error_pointers(decode_fhir(&no_list)), ["/identifier"]);
    let mut dose = immunization();
    dose["patient"] = json!({"identifier": identifier(PASSPORT, "E12345678")});
    assert_eq!(document(decode_fhir(&dose)), "E******78");
}

#[test]
fn a_reference_is_resolved_in_its_bundle() {
    let entry = |url: &str, resource: &Value| {
        let put = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        json!({"fullUrl": url, "resource": resource, "request": {"method": "PUT", "url": put}})
    };
    let of = |reference: &str, patients: &[(&str, &Value)]| {
        let mut referring = observation();
        referring["subject"]["reference"] = json!(reference);
        let patients = patients.iter().map(|(url, patient)| entry(url, patient));
        let entries: Vec<_> = patients.chain([entry("urn:uuid:o", &referring)]).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let rows = fhir::Bundle::read(&bundle.to_string().into()).unwrap().unwrap().entries;
        decode(rows.into_iter().next_back().unwrap())
    };
    let known = patient("p1", &[identifier(RESIDENT, "610102199003070016")]);
    let (unknown, other) = (patient("p2", &[]), patient("p1", &[]));
    let wrong = patient("p3", &[identifier(RESIDENT, "610102199003070015")]);
    let patients = [("urn:uuid:1", &known), ("urn:uuid:2", &unknown), ("urn:uuid:3", &wrong)];
    for reference in ["urn:uuid:1", "Patient/p1", "Patient/p1/_history/2"] {
        assert_eq!(document(of(reference, &patients)), "610102********0016", "{reference}");
    }
    for reference in ["urn:uuid:2", "Patient/p2"] {
        assert_eq!(document(of(reference, &patients)), "lab-7/**", "{reference}");
    }
    assert_eq!(document(of("Patient/elsewhere", &patients)), "lab-7/el*****re");
    for reference in ["urn:uuid:3", "Patient/p3", "urn:uuid:4"] {
        assert_eq!(error_pointers(of(reference, &patients)), ["/resource/subject/reference"], "{reference}");
    }
    // A Patient that is too long, or whose identifiers cannot be read, is not known by the agency's own number instead.
    let mut too_long = known.clone();
    too_long["photo"] = json!([{"data": "x".repeat(70_000)}]);
    let mut deep = patient("p1", &[]);
    deep["identifier"] = (0..200).fold(json!([]), |inner, _| json!([inner]));
    for uncertain in [&too_long, &deep] {
        assert_eq!(error_pointers(of("Patient/p1", &[("urn:uuid:1", uncertain)])), ["/resource/subject/reference"]);
    }
    // Two versions with different identifiers.
    let patients = [("urn:uuid:1", &known), ("urn:uuid:1", &other)];
    assert_eq!(error_pointers(of("urn:uuid:1", &patients)), ["/resource/subject/reference"]);
    assert_eq!(error_pointers(of("Patient/p1", &patients)), ["/resource/subject/reference"]);
    assert_eq!(document(of("urn:uuid:1", &[("urn:uuid:1", &known), ("urn:uuid:1", &known)])), "610102********0016");
}

#[test]
fn entries_are_decoded_by_their_requests() {
    let patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Anna"}]});
    let mut referring = observation();
    referring["subject"]["reference"] = json!("urn:uuid:1");
    let mut referring = entry(referring, "POST", "Observation");
    referring["fullUrl"] = json!("urn:uuid:2");
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry(patient.clone(), "PUT", "Patient/p1"),
        referring,
        entry(patient.clone(), "DELETE", "Patient/p1"),
        entry(patient.clone(), "PUT", "Patient/p2"),
        entry(json!({"resourceType": "Patient", "id": "p1"}), "PUT", "Patient/p1"),
        {"resource": patient},
        {"request": {"method": "GET", "url": "Patient/p1"}},
        7,
    ]});
    let bundle = fhir::Bundle::read(&bundle.to_string().into()).unwrap().unwrap();
    assert_eq!(bundle.kind, fhir::BundleType::Transaction);
    let mut rows = bundle.entries.into_iter().map(decode);
    let [patient, observation] = [(); 2].map(|()| rows.next().unwrap().event.unwrap().event.subject);
    assert!(patient == observation, "a fullUrl refers to its Patient");
    let pointers: Vec<_> = rows.flat_map(error_pointers).collect();
    assert_eq!(pointers, ["/request/method", "/request/url", "/resource/name", "/request", "/resource", ""]);

    let kind = |text: &'static str| fhir::Bundle::read(&Bytes::from_static(text.as_bytes())).map(|b| b.is_some());
    assert_eq!(kind(r#"{"resourceType":"Patient"}"#), Ok(false));
    assert_eq!(kind("{").unwrap_err().kind, ProblemType::Malformed);
    assert_eq!(kind(r#"{"resourceType":"Bundle","type":"history"}"#).unwrap_err().errors[0].pointer, "/type");
    assert_eq!(kind(r#"{"id":"p1"}"#).unwrap_err().errors[0].pointer, "/resourceType");
}

#[test]
fn a_member_that_a_bundle_has_twice_is_refused_and_named() {
    let bundle =
        json!({"resourceType": "Bundle", "type": "batch", "entry": [entry(patient("p1", &[]), "POST", "Patient")]});
    for (once, twice, pointer) in [
        (r#""type":"#, r#""type":"transaction","type":"#, "/type"),
        (r#""resourceType":"Bundle""#, r#""resourceType":"Bundle","resourceType":"Patient""#, "/resourceType"),
        (r#""method":"#, r#""method":"DELETE","method":"#, "/entry/0/request/method"),
        (r#""text":"#, r#""text":"Bella","text":"#, "/entry/0/resource/name/0/text"),
    ] {
        let text = bundle.to_string().replacen(once, twice, 1);
        let problem = fhir::Bundle::read(&text.into()).map(|_| ()).unwrap_err();
        assert_eq!((problem.kind, problem.errors[0].pointer.as_str()), (ProblemType::Invalid, pointer));
    }
}

#[test]
fn an_entry_with_an_unsupported_request_is_refused() {
    let pointer = |entries: Value| -> Vec<_> {
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let rows = fhir::Bundle::read(&bundle.to_string().into()).unwrap().unwrap().entries;
        rows.into_iter().flat_map(|row| error_pointers(decode(row))).collect()
    };
    let patient = patient("p1", &[]);
    for condition in ["ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince"] {
        let mut conditional = entry(patient.clone(), "PUT", "Patient/p1");
        conditional["request"][condition] = json!("x");
        assert_eq!(pointer(json!([conditional])), [format!("/request/{condition}")]);
    }
    let mut numeric = patient.clone();
    numeric["id"] = json!(7);
    for (method, url) in [("PUT", "Patient/7"), ("POST", "Patient")] {
        assert_eq!(pointer(json!([entry(numeric.clone(), method, url)])), ["/resource/id"]);
    }
    // A fullUrl belongs to one resource, in any version.
    let put = |resource: &Value, url: &str| entry(resource.clone(), "PUT", url);
    let mut referring = observation();
    referring["subject"]["reference"] = json!("urn:uuid:1");
    let mut other = put(&referring, "Observation/o1");
    other["fullUrl"] = json!("urn:uuid:2");
    assert_eq!(pointer(json!([put(&patient, "Patient/p1"), put(&patient, "Patient/p1"), other])), [""; 0]);
    let twice = json!([put(&patient, "Patient/p1"), put(&observation(), "Observation/o1"), other]);
    assert_eq!(pointer(twice), ["/fullUrl", "/fullUrl", "/resource/subject/reference"]);
}
