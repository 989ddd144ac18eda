//! Persons of FHIR resources, and entries of Bundles.

use super::resources::{immunization, observation};
use super::*;

const RESIDENT: &str = "urn:oid:2.16.156.10011.1.3";
const PASSPORT: &str = "http://hl7.org/fhir/sid/passport-CHN";

fn identifier(system: &str, value: &str) -> Value {
    json!({"system": system, "value": value})
}

fn own_system() -> Value {
    identifier("urn:oid:1.2.3", "7")
}

fn patient(id: &str, identifiers: &[Value]) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"text": "Anna"}], "identifier": identifiers})
}

fn entry(resource: Value, method: &str, url: &str) -> Value {
    json!({"fullUrl": "urn:uuid:1", "resource": resource, "request": {"method": method, "url": url}})
}

/// The masked document of a row's event.
fn document(row: DecodedRow) -> String {
    row.event.unwrap().0.event.document
}

#[test]
fn a_person_is_known_by_identifiers_of_known_systems() {
    let own = own_system();
    let resident = identifier(RESIDENT, "610102199003070016");
    let passport = identifier(PASSPORT, "e12345678");
    let mut old = identifier(RESIDENT, "11010519491231002X");
    old["use"] = json!("old");
    let of = |identifiers: &[Value]| document(decode_fhir(&patient("p1", identifiers)));
    assert_eq!(of(std::slice::from_ref(&own)), "lab-7/**");
    assert_eq!(of(&[own.clone(), passport.clone(), resident.clone()]), "610102********0016", "whatever their order");
    assert_eq!(of(&[old.clone(), passport]), "E******78");
    assert_eq!(of(&[old]), "lab-7/**");
    let subject = |row: DecodedRow| row.event.unwrap().0.event.subject;
    let as_patient = subject(decode_fhir(&patient("p1", std::slice::from_ref(&resident))));
    assert!(as_patient == subject(decode_event(&test_result())), "the same person as in an event");

    let mut logical = observation();
    logical["subject"] = json!({"identifier": resident});
    assert!(subject(decode_fhir(&logical)) == as_patient);
    logical["subject"]["reference"] = json!("Patient/p1");
    assert!(subject(decode_fhir(&logical)) == as_patient, "the identifier decides: the Patient is not known here");
    logical["subject"]["identifier"] = own;
    assert_eq!(document(decode_fhir(&logical)), "lab-7/**");
    logical["subject"]["identifier"] = identifier(RESIDENT, "610102199003070015");
    assert_eq!(error_pointers(decode_fhir(&logical)), ["/subject/identifier/value"]);
    // One person has one resident number, and one passport of a country.
    let second = |system: &str, number: &str| identifier(system, number);
    for (first, other) in [
        (resident.clone(), second(RESIDENT, "11010519491231002X")),
        (identifier(PASSPORT, "E12345678"), second(PASSPORT, "E12345679")),
    ] {
        let pointers = error_pointers(decode_fhir(&patient("p1", &[first.clone(), own_system(), other.clone()])));
        assert_eq!(pointers, ["/identifier/2/value"]);
        let mut former = other;
        former["use"] = json!("old");
        assert!(decode_fhir(&patient("p1", &[first.clone(), former, first])).event.is_ok());
    }
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

/// The rows of a Bundle.
fn rows_of(kind: &str, entries: Value) -> Vec<DecodedRow> {
    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let bundle = fhir::Bundle::read(&bundle.to_string().into()).unwrap().unwrap();
    bundle.entries.into_iter().map(decode).collect()
}

#[test]
fn an_identifier_and_the_reference_beside_it_name_one_person() {
    let resident = identifier(RESIDENT, "610102199003070016");
    let of = |reference: &str, logical: &Value, patients: &[Value]| {
        let mut referring = observation();
        referring["subject"] = json!({"reference": reference, "identifier": logical});
        let entries: Vec<_> = patients.iter().chain([&referring]).map(|r| json!({"resource": r})).collect();
        rows_of("collection", json!(entries)).pop().unwrap()
    };
    let both = patient("p1", &[identifier(PASSPORT, "E12345678"), resident.clone()]);
    let contradiction = ["/resource/subject/identifier/value"];
    for other in [identifier(RESIDENT, "11010519491231002X"), identifier(PASSPORT, "E12345679")] {
        assert_eq!(error_pointers(of("Patient/p1", &other, std::slice::from_ref(&both))), contradiction);
    }
    let by_passport = of("Patient/p1", &identifier(PASSPORT, "E12345678"), std::slice::from_ref(&both));
    assert_eq!(document(by_passport), "610102********0016", "the passport is the same Patient's");
    assert_eq!(document(of("Patient/p1", &resident, &[patient("p1", &[])])), "610102********0016");
    assert_eq!(document(of("Patient/p9", &resident, &[both])), "610102********0016");
    // Which of the two Patients is meant cannot be told, so neither can a contradiction.
    let two = [patient("p1", std::slice::from_ref(&resident)), patient("p1", &[])];
    assert_eq!(error_pointers(of("Patient/p1", &resident, &two)), ["/resource/subject/reference"]);
}

#[test]
fn the_result_of_a_laboratory_is_taken_from_what_accompanies_it() {
    let mut referring = observation();
    referring["subject"]["reference"] = json!("urn:uuid:1");
    let resources = [
        json!({"resourceType": "MessageHeader", "id": "h1"}),
        patient("p1", &[identifier(RESIDENT, "610102199003070016")]),
        json!({"resourceType": "Specimen", "id": "s1"}),
        json!({"resourceType": "DiagnosticReport", "id": "d1", "result": [{"reference": "Observation/o1"}]}),
        referring,
    ];
    for kind in ["transaction", "batch", "message", "collection", "document"] {
        let entries = (0..).zip(&resources).map(|(n, resource)| {
            let mut entry = json!({"fullUrl": format!("urn:uuid:{n}"), "resource": resource});
            if ["transaction", "batch"].contains(&kind) {
                entry["request"] = json!({"method": "POST", "url": resource["resourceType"]});
            }
            entry
        });
        let mut rows = rows_of(kind, json!(entries.collect::<Vec<_>>()));
        assert_eq!(document(rows.pop().unwrap()), "610102********0016", "{kind}");
        assert_eq!(document(rows.remove(1)), "610102********0016", "{kind}");
        let ignored: Vec<_> = rows.into_iter().flat_map(error_pointers).collect();
        let reason = |name: &str| format!("ignored: {name}: not a Patient, Immunization or Observation");
        assert_eq!(ignored, ["MessageHeader", "Specimen", "DiagnosticReport"].map(reason), "{kind}");
    }
    // A result within another resource would be lost with it.
    let report = json!({"resourceType": "DiagnosticReport", "id": "d1", "contained": [observation()]});
    assert_eq!(error_pointers(decode_fhir(&report)), ["/contained"]);
    let delete = json!([{"resource": observation(), "request": {"method": "DELETE", "url": "Observation/o1"}}]);
    assert_eq!(
        rows_of("collection", delete).into_iter().flat_map(error_pointers).collect::<Vec<_>>(),
        ["/request/method"]
    );
}

#[test]
fn a_resource_without_an_id_gets_one_of_its_content() {
    let anonymous = |resource: &Value, change: &dyn Fn(&mut Value)| {
        let mut resource = resource.clone();
        resource.as_object_mut().unwrap().remove("id");
        resource["subject"] = json!({"identifier": identifier(RESIDENT, "610102199003070016")});
        change(&mut resource);
        resource
    };
    let id = |change: &dyn Fn(&mut Value)| decode_fhir(&anonymous(&observation(), change)).event.unwrap().0.event.id;
    let first = id(&|_| {});
    assert!(first.starts_with("Observation/") && first.len() == "Observation/".len() + 32, "{first}");
    let same: [&dyn Fn(&mut Value); 3] = [
        &|r| r["meta"] = json!({"lastUpdated": "2026-09-21T08:00:00Z"}),
        &|r| r["text"] = json!({"status": "generated"}),
        &|r| r["subject"]["display"] = json!("Anna"),
    ];
    assert!(same.iter().all(|change| id(change) == first), "the same fact sent again is the same event");
    let other: [&dyn Fn(&mut Value); 3] = [
        &|r| r["effectiveDateTime"] = json!("2026-09-20T07:31:00Z"),
        &|r| r["valueCodeableConcept"]["coding"][0]["code"] = json!("260415000"),
        &|r| r["subject"]["identifier"]["value"] = json!("11010519491231002X"),
    ];
    assert!(other.iter().all(|change| id(change) != first));

    // A temporary reference differs in each Bundle.
    let in_bundle = |uuid: &str| {
        let patient = anonymous(&patient("", &[identifier(RESIDENT, "610102199003070016")]), &|_| {});
        let specimen = json!({"reference": format!("urn:uuid:{uuid}-s")});
        let change = |r: &mut Value| {
            r["subject"] = json!({"reference": format!("urn:uuid:{uuid}")});
            r["specimen"] = specimen.clone();
        };
        let entries = [patient, anonymous(&observation(), &change)].map(|resource| {
            json!({"fullUrl": format!("urn:uuid:{uuid}"), "request": {"method": "POST", "url": resource["resourceType"]},
                "resource": resource})
        });
        let mut entries = Vec::from(entries);
        entries[1].as_object_mut().unwrap().remove("fullUrl");
        rows_of("transaction", json!(entries)).into_iter().map(|row| row.event.unwrap().0.event.id).collect::<Vec<_>>()
    };
    assert_eq!(in_bundle("1"), in_bundle("2"));

    // The sender's own number of the result survives a correction; without one nothing can be taken back.
    let numbered = |status: &str, snomed: &str| {
        let change = |r: &mut Value| {
            r["identifier"] = json!([identifier("urn:lab", "2026-77")]);
            (r["status"], r["valueCodeableConcept"]["coding"][0]["code"]) = (json!(status), json!(snomed));
        };
        decode_fhir(&anonymous(&observation(), &change)).event.unwrap().0.event
    };
    let result = numbered("final", "260373001");
    assert_eq!(result.id, numbered("corrected", "260415000").id);
    let EventData::Retraction { event_id, .. } = numbered("entered-in-error", "260373001").data else { panic!() };
    assert_eq!(event_id, result.id);
    let nameless = anonymous(&observation(), &|r| r["status"] = json!("entered-in-error"));
    assert_eq!(error_pointers(decode_fhir(&nameless)), ["/id"]);
    let mut stranger = patient("", &[]);
    stranger.as_object_mut().unwrap().remove("id");
    assert_eq!(error_pointers(decode_fhir(&stranger)), ["/id"]);
    let entries = json!([{"fullUrl": "urn:uuid:1", "resource": stranger},
        {"resource": anonymous(&observation(), &|r| r["subject"] = json!({"reference": "urn:uuid:1"}))}]);
    let pointers: Vec<_> = rows_of("collection", entries).into_iter().flat_map(error_pointers).collect();
    assert_eq!(pointers, ["/resource/id", "/resource/subject/reference"]);
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
    let [patient, observation] = [(); 2].map(|()| rows.next().unwrap().event.unwrap().0.event.subject);
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
