use proptest::prelude::*;
use serde_json::{Value, json};
use yima_schema::event::{EventData, TestKind, TestOutcome};

use super::*;

const NOW: i64 = 1_790_000_000; // 2026-09-21T14:13:20Z

fn read(input: Input) -> Row {
    read_at(0, input)
}

fn read_at(date_offset_minutes: i16, input: Input) -> Row {
    let (pseudonyms, rules) = (PseudonymKey::from_bytes(&[1; 32]), Rules::built_in());
    let now = Time::from_secs(NOW);
    input.read(Context { agency: "lab-7", now, pseudonyms: &pseudonyms, rules: &rules, date_offset_minutes })
}

fn read_event(event: &Value) -> Row {
    read(Input::Event(event.to_string().into()))
}

fn read_fhir(resource: &Value) -> Row {
    read(Input::Fhir(resource.to_string().into()))
}

fn test_result() -> Value {
    json!({
        "id": "lab7-000123", "revision": 0, "kind": "test_result",
        "subject": {"document_type": "cn_resident_id", "document_number": "610102199003070016"},
        "occurred_at": "2026-09-21T07:30:00Z", "data": {"test": "nucleic_acid", "result": "negative"}
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut event = test_result();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[key] = value;
    event
}

/// The pointers at fault.
fn faults(row: Row) -> Vec<String> {
    match row.event {
        Err(NotTaken::Rejected(problem)) => problem.errors.into_iter().map(|e| e.pointer).collect(),
        Err(NotTaken::Ignored(reason)) => vec![format!("ignored: {reason}")],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn the_documented_example_is_an_event() {
    let row = read_event(&test_result());
    assert_eq!(row.id.as_deref(), Some("lab7-000123"));
    let stored = row.event.unwrap();
    assert_eq!(stored.event.document, "610102********0016");
    assert_eq!(stored.event.agency, "lab-7");
}

#[test]
fn what_is_read_is_what_is_described() {
    let data = [
        ("identity", json!({"name": "Anna", "born": "1990-03-07", "deceased_at": "2026-09-21T07:30:00Z"})),
        ("test_result", json!({"test": "antigen", "result": "invalid"})),
        ("vaccination", json!({"vaccine": "208", "dose": 2})),
        ("colour_assignment", json!({"colour": "red", "reason": "quarantine", "until": "2026-09-28T07:30:00Z"})),
        ("retraction", json!({"event_id": "t-1", "why": "mixed up"})),
    ];
    for (kind, data) in data {
        let mut event = with("/kind", json!(kind));
        event["data"] = data;
        assert!(read_event(&event).event.is_ok(), "{event}");
        serde_json::from_value::<shape::Event>(event.clone()).unwrap();
        // Every field that the description asks for is asked for by the reader, and the other way round.
        for (pointer, field) in [("", "id"), ("", "occurred_at"), ("/subject", "document_type"), ("/data", "")] {
            let fields = event.pointer(pointer).and_then(Value::as_object).unwrap().keys();
            for field in fields.filter(|key| field.is_empty() || *key == field) {
                let mut without = event.clone();
                without.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(field);
                let described = serde_json::from_value::<shape::Event>(without.clone()).is_ok();
                assert_eq!(read_event(&without).event.is_ok(), described, "{without}");
            }
        }
    }
}

#[test]
fn each_fault_names_its_field() {
    for (pointer, value) in [
        ("/id", json!("has space")),
        ("/id", json!(7)),
        ("/revision", json!(-1)),
        ("/kind", json!("tset")),
        ("/occurred_at", json!("2026-09-21")),
        ("/occurred_at", json!("2026-09-21T14:18:21Z")),
        ("/subject/document_type", json!("library_card")),
        ("/subject/document_number", json!("610102199003070015")),
        ("/data/test", json!("smell")),
        ("/data/result", json!("maybe")),
        ("/data/untill", json!("2026-09-22T00:00:00Z")),
        ("/extra", json!(1)),
    ] {
        assert_eq!(faults(read_event(&with(pointer, value))), [pointer], "{pointer}");
    }
    assert_eq!(faults(read_event(&with("/subject", json!(3)))), ["/subject"]);
    assert_eq!(faults(read_event(&json!([]))), [""]);
    let several = json!({"kind": "identity", "data": {"born": "1990"}});
    assert_eq!(faults(read_event(&several)), ["/id", "/occurred_at", "/subject", "/data/name", "/data/born"]);
}

#[test]
fn an_event_is_told_twenty_faults_and_that_there_are_more() {
    let mut event = json!({"data": {}});
    for n in 0..2_000 {
        event["data"][format!("f{n}")] = json!(n);
        event[format!("f{n}")] = json!(n);
    }
    let problem = |event: &Value| match read_event(event).event {
        Err(NotTaken::Rejected(problem)) => problem,
        _ => panic!("it is at fault"),
    };
    let errors = problem(&event).errors;
    assert_eq!(errors.len(), 20);
    assert!(errors[..19].iter().all(|error| !error.detail.contains("more")));
    assert!(errors[19].detail.ends_with("; there are more faults than these"), "{}", errors[19].detail);
    event = test_result();
    for n in 0..20 {
        event[format!("f{n}")] = json!(n);
    }
    let errors = problem(&event).errors;
    assert!(errors.len() == 20 && !errors[19].detail.contains("more"), "there are not");
}

#[test]
fn five_minutes_ahead_is_the_senders_clock_more_is_the_future() {
    assert!(read_event(&with("/occurred_at", json!("2026-09-21T14:18:20Z"))).event.is_ok());
}

#[test]
fn an_agency_writes_under_its_own_name() {
    assert!(read_event(&with("/agency", json!("lab-7"))).event.is_ok());
    assert_eq!(faults(read_event(&with("/agency", json!("lab-8")))), ["/agency"]);
    let local = |n: &str| with("/subject", json!({"document_type": "local", "document_number": n}));
    assert!(read_event(&local("lab-7/42")).event.is_ok());
    assert_eq!(faults(read_event(&local("lab-8/42"))), ["/subject/document_number"]);
}

#[test]
fn a_reason_gives_only_its_colours() {
    let assignment = |colour: &str, reason: &str, until: Value| {
        let mut event = test_result();
        event["kind"] = json!("colour_assignment");
        event["data"] = json!({"colour": colour, "reason": reason, "until": until});
        faults(read_event(&event))
    };
    assert!(assignment("yellow", "close_contact", Value::Null).is_empty());
    assert_eq!(assignment("green", "close_contact", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "bank_deposit", Value::Null), ["/data/reason"]);
    assert_eq!(assignment("none", "released", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "quarantine", json!("2026-09-21T07:30:00Z")), ["/data/until"]);
}

#[test]
fn other_vaccines_are_ignored_and_names_are_masked() {
    let mut event = test_result();
    event["kind"] = json!("vaccination");
    event["data"] = json!({"vaccine": "140", "dose": 1});
    assert!(faults(read_event(&event))[0].starts_with("ignored: not a COVID-19 vaccine"));
    event["kind"] = json!("identity");
    event["data"] = json!({"name": "张三", "born": "1990-03-07"});
    let EventData::Identity { name, .. } = read_event(&event).event.unwrap().event.data else { panic!() };
    assert_eq!(name, "张*");
}

fn immunization() -> Value {
    json!({
        "resourceType": "Immunization", "id": "i1", "status": "completed",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "208"}]},
        "patient": {"reference": "Patient/p1"}, "occurrenceDateTime": "2021-05-16T05:15:06-04:00"
    })
}

#[test]
fn a_resource_and_its_patient_are_one_subject() {
    let patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Lee", "given": ["Anna"]}],
        "birthDate": "1990-03", "meta": {"versionId": "4"}, "deceasedDateTime": "2022"});
    let patient = read_fhir(&patient).event.unwrap();
    let dose = read_fhir(&immunization()).event.unwrap();
    assert!(patient.event.subject == dose.event.subject);
    assert_eq!((patient.event.id.as_str(), patient.event.revision), ("Patient/p1", 4));
    let EventData::Identity { name, born, deceased_at } = patient.event.data else { panic!() };
    assert_eq!((name.as_str(), born.as_deref()), ("A*** L**", Some("1990-03")));
    assert_eq!(deceased_at.unwrap().to_string(), "2022-01-01T00:00:00Z");
}

#[test]
fn fhir_faults_name_their_element() {
    let changed = |key: &str, value: Value| {
        let mut resource = immunization();
        resource[key] = value;
        faults(read_fhir(&resource))
    };
    assert_eq!(changed("resourceType", json!("Condition")), ["/resourceType"]);
    assert_eq!(changed("id", json!("a/b")), ["/id"]);
    assert_eq!(changed("status", json!("on-hold")), ["/status"]);
    assert_eq!(changed("patient", json!({"reference": "urn:uuid:1"})), ["/patient/reference"]);
    assert_eq!(changed("vaccineCode", json!({"text": "the blue one"})), ["/vaccineCode/coding"]);
    assert_eq!(changed("occurrenceDateTime", json!("May")), ["/occurrenceDateTime"]);
    assert_eq!(changed("occurrenceDateTime", json!("2030")), ["/occurrenceDateTime"]);
    assert_eq!(changed("modifierExtension", json!([])), ["/modifierExtension"]);
    assert_eq!(changed("meta", json!({"versionId": "v2"})), ["/meta/versionId"]);
    assert_eq!(changed("meta", json!({"versionId": "v2", "lastUpdated": "May"})), ["/meta/lastUpdated"]);
}

#[test]
fn a_revision_is_the_version_s_number_or_the_time_of_the_last_change() {
    let revision = |meta: Value| {
        let mut resource = immunization();
        resource["meta"] = meta;
        read_fhir(&resource).event.unwrap().event.revision
    };
    let at = "2026-09-21T08:00:00.250Z";
    assert_eq!(revision(json!({})), 0);
    assert_eq!(revision(json!({"versionId": "7", "lastUpdated": at})), 7);
    assert_eq!(revision(json!({"lastUpdated": at})), 1_789_977_600_250);
    assert_eq!(revision(json!({"versionId": "W/two", "lastUpdated": at})), 1_789_977_600_250);
}

#[test]
fn a_date_begins_where_the_writer_is() {
    let given = |offset: i16, date: &str| {
        let mut resource = immunization();
        resource["occurrenceDateTime"] = json!(date);
        let row = read_at(offset, Input::Fhir(resource.to_string().into()));
        row.event.map(|stored| stored.event.occurred_at.to_string()).map_err(|_| ())
    };
    let utc = |time: &str| Ok(time.to_owned());
    assert_eq!(given(0, "2026-09-20"), utc("2026-09-20T00:00:00Z"));
    assert_eq!(given(480, "2026-09-20"), utc("2026-09-19T16:00:00Z"));
    assert_eq!(given(-720, "2021-05"), utc("2021-05-01T12:00:00Z"));
    assert_eq!(given(480, "2021"), utc("2020-12-31T16:00:00Z"));
    assert_eq!(given(480, "2026-09-20T07:00:00+02:00"), utc("2026-09-20T05:00:00Z"), "it says so itself");
    // At 14:13 in UTC on the 21st the 22nd has begun ten hours east of it.
    assert_eq!(given(480, "2026-09-22"), Err(()));
    assert_eq!(given(600, "2026-09-22"), utc("2026-09-21T14:00:00Z"));
    for no_date in
        ["2026-09-20 23:00:00+08:00", "2026-09-20 07:00", "20260920", "2026-9-20", "26-09-20", "2026-09-2", ""]
    {
        assert_eq!(given(0, no_date), Err(()), "{no_date}");
    }
}

/// Which event a resource takes back, why, and when.
fn taken_back(resource: &Value) -> (String, String, String) {
    let event = read_fhir(resource).event.unwrap().event;
    let EventData::Retraction { event_id, why } = event.data else { panic!("{resource}") };
    assert_eq!(event.id, event_id, "its own");
    (event_id, why, event.occurred_at.to_string())
}

#[test]
fn a_resource_that_says_that_it_does_not_hold_takes_itself_back() {
    let said = |id: &str, why: &str, at: &str| (id.to_owned(), why.to_owned(), at.to_owned());
    let (given, sampled) = ("2021-05-16T09:15:06Z", "2026-09-20T07:30:00Z");
    let mut dose = immunization();
    for (status, why) in [("not-done", "not done"), ("entered-in-error", "entered in error")] {
        dose["status"] = json!(status);
        assert_eq!(taken_back(&dose), said("Immunization/i1", why, given));
    }
    dose["status"] = json!("completed");
    dose["isSubpotent"] = json!(true);
    assert_eq!(taken_back(&dose), said("Immunization/i1", "subpotent", given));
    let mut test = observation();
    for (status, why) in [("cancelled", "cancelled"), ("entered-in-error", "entered in error")] {
        test["status"] = json!(status);
        assert_eq!(taken_back(&test), said("Observation/o1", why, sampled));
    }
    test["status"] = json!("corrected");
    test.as_object_mut().unwrap().remove("valueCodeableConcept");
    test["dataAbsentReason"] = json!({"text": "lost"});
    assert_eq!(taken_back(&test), said("Observation/o1", "no result", sampled));

    // What is of no business here stays so, unless it is an error: the code may have been what was wrong.
    let ignored = |resource: &Value| faults(read_fhir(resource))[0].starts_with("ignored: not a ");
    test["code"]["coding"][0]["code"] = json!("2093-3");
    dose["vaccineCode"]["coding"][0]["code"] = json!("140");
    assert!(ignored(&test) && ignored(&dose));
    test["status"] = json!("cancelled");
    dose["status"] = json!("not-done");
    assert!(ignored(&test) && ignored(&dose));
    for resource in [&mut test, &mut dose] {
        resource["status"] = json!("entered-in-error");
        let fields = resource.as_object_mut().unwrap();
        fields.retain(|key, _| ["resourceType", "id", "status", "subject", "patient"].contains(&key.as_str()));
        assert_eq!(taken_back(resource).2, "1970-01-01T00:00:00Z", "nothing else is needed");
        resource["meta"] = json!({"lastUpdated": "2026-09-21T08:00:00Z"});
        assert_eq!(taken_back(resource).2, "2026-09-21T08:00:00Z");
    }
    test["effectiveDateTime"] = json!("2026-09-30");
    assert_eq!(taken_back(&test).2, "2026-09-21T08:00:00Z", "it was planned");
    test.as_object_mut().unwrap().remove("meta");
    assert_eq!(faults(read_fhir(&test)), ["/effectiveDateTime"]);
}

fn observation() -> Value {
    json!({
        "resourceType": "Observation", "id": "o1", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "94500-6"}]},
        "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-09-20T07:30:00Z",
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "260373001"}]}
    })
}

#[test]
fn observations_are_test_results_by_their_codes() {
    let coded = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    for (loinc, snomed, expected) in [
        ("94500-6", "260373001", (TestKind::NucleicAcid, TestOutcome::Positive)),
        ("94309-2", "260415000", (TestKind::NucleicAcid, TestOutcome::Negative)),
        ("94558-4", "419984006", (TestKind::Antigen, TestOutcome::Inconclusive)),
        ("97097-0", "125154007", (TestKind::Antigen, TestOutcome::Invalid)),
    ] {
        let mut resource = observation();
        resource["code"] = coded("http://loinc.org", loinc);
        resource["valueCodeableConcept"] = coded("http://snomed.info/sct", snomed);
        let EventData::TestResult { test, result } = read_fhir(&resource).event.unwrap().event.data else { panic!() };
        assert_eq!((test, result), expected);
    }
    let changed = |key: &str, value: Value| {
        let mut resource = observation();
        resource[key] = value;
        faults(read_fhir(&resource))
    };
    let loinc = "http://loinc.org";
    assert_eq!(changed("code", coded("urn:lab", "94500-6")), ["/code/coding"]);
    let ignored = "ignored: not a test for SARS-CoV-2 that counts here (by its LOINC code)";
    assert_eq!(changed("code", coded(loinc, "2093-3")), [ignored]);
    let two = json!({"coding": [{"system": loinc, "code": "94500-6"}, {"system": loinc, "code": "94558-4"}]});
    assert_eq!(changed("code", two), ["/code/coding"]);
    assert_eq!(changed("valueCodeableConcept", coded("http://snomed.info/sct", "1")), ["/valueCodeableConcept/coding"]);
    assert_eq!(changed("valueCodeableConcept", json!({"text": "negative"})), ["/valueCodeableConcept/coding"]);
    assert_eq!(changed("status", json!("preliminary")), ["ignored: the result is not final yet"]);
    assert_eq!(changed("status", json!("unknown")), ["/status"]);
    assert_eq!(changed("effectiveDateTime", json!("2026-09-30")), ["/effectiveDateTime"]);
    assert_eq!(changed("subject", json!({"reference": "Group/p1"})), ["/subject/reference"]);

    let mut absent = observation();
    let fields = absent.as_object_mut().unwrap();
    fields.remove("valueCodeableConcept");
    fields.insert("dataAbsentReason".into(), coded("x", "unknown"));
    absent["valueString"] = json!("positive");
    assert_eq!(faults(read_fhir(&absent)), ["/valueCodeableConcept/coding"], "a result in words is not passed over");

    let mut period = observation();
    let fields = period.as_object_mut().unwrap();
    fields.remove("effectiveDateTime");
    fields.insert("effectivePeriod".into(), json!({"start": "2026-09-19T00:00:00Z", "end": "2026-09-20T00:00:00Z"}));
    assert_eq!(read_fhir(&period).event.unwrap().event.occurred_at.to_string(), "2026-09-19T00:00:00Z");
}

const RESIDENT: &str = "urn:oid:2.16.156.10011.1.3";
const PASSPORT: &str = "http://hl7.org/fhir/sid/passport-CHN";

fn identifier(system: &str, value: &str) -> Value {
    json!({"system": system, "value": value})
}

fn patient(id: &str, identifiers: &[Value]) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"text": "Anna"}], "identifier": identifiers})
}

/// Whom a row is about, masked.
fn whom(row: Row) -> String {
    row.event.unwrap().event.document
}

#[test]
fn a_person_is_whom_the_identifiers_of_a_known_system_name() {
    let own = identifier("urn:oid:1.2.3", "7");
    let resident = identifier(RESIDENT, "610102199003070016");
    let passport = identifier(PASSPORT, "e12345678");
    let mut old = identifier(RESIDENT, "11010519491231002X");
    old["use"] = json!("old");
    let of = |identifiers: &[Value]| whom(read_fhir(&patient("p1", identifiers)));
    assert_eq!(of(std::slice::from_ref(&own)), "lab-7/**");
    assert_eq!(of(&[own.clone(), passport.clone(), resident.clone()]), "610102********0016", "whatever their order");
    assert_eq!(of(&[old.clone(), passport]), "E******78");
    assert_eq!(of(&[old]), "lab-7/**");
    let subject = |row: Row| row.event.unwrap().event.subject;
    let as_patient = subject(read_fhir(&patient("p1", std::slice::from_ref(&resident))));
    assert!(as_patient == subject(read_event(&test_result())), "the same person as in an event");

    let mut logical = observation();
    logical["subject"] = json!({"identifier": resident});
    assert!(subject(read_fhir(&logical)) == as_patient);
    logical["subject"]["reference"] = json!("Patient/p1");
    assert!(subject(read_fhir(&logical)) == as_patient, "it decides");
    logical["subject"]["identifier"] = own;
    assert_eq!(whom(read_fhir(&logical)), "lab-7/**");
    logical["subject"]["identifier"] = identifier(RESIDENT, "610102199003070015");
    assert_eq!(faults(read_fhir(&logical)), ["/subject/identifier/value"]);
    let numberless = patient("p1", &[resident, json!({"system": PASSPORT})]);
    assert_eq!(faults(read_fhir(&numberless)), ["/identifier/1/value"]);
    let mut no_list = patient("p1", &[]);
    no_list["identifier"] = json!({});
    assert_eq!(faults(read_fhir(&no_list)), ["/identifier"]);
    let mut dose = immunization();
    dose["patient"] = json!({"identifier": identifier(PASSPORT, "E12345678")});
    assert_eq!(whom(read_fhir(&dose)), "E******78");
}

#[test]
fn a_reference_is_the_person_that_the_bundle_says() {
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
        read(rows.into_iter().next_back().unwrap())
    };
    let known = patient("p1", &[identifier(RESIDENT, "610102199003070016")]);
    let (unknown, other) = (patient("p2", &[]), patient("p1", &[]));
    let wrong = patient("p3", &[identifier(RESIDENT, "610102199003070015")]);
    let patients = [("urn:uuid:1", &known), ("urn:uuid:2", &unknown), ("urn:uuid:3", &wrong)];
    for reference in ["urn:uuid:1", "Patient/p1", "Patient/p1/_history/2"] {
        assert_eq!(whom(of(reference, &patients)), "610102********0016", "{reference}");
    }
    for reference in ["urn:uuid:2", "Patient/p2"] {
        assert_eq!(whom(of(reference, &patients)), "lab-7/**", "{reference}");
    }
    assert_eq!(whom(of("Patient/elsewhere", &patients)), "lab-7/el*****re");
    for reference in ["urn:uuid:3", "Patient/p3", "urn:uuid:4"] {
        assert_eq!(faults(of(reference, &patients)), ["/resource/subject/reference"], "{reference}");
    }
    // One that is no event, and one whose identifiers cannot be read, are not known by the agency's own number instead.
    let mut too_long = known.clone();
    too_long["photo"] = json!([{"data": "x".repeat(70_000)}]);
    let mut deep = patient("p1", &[]);
    deep["identifier"] = (0..200).fold(json!([]), |inner, _| json!([inner]));
    for at_fault in [&too_long, &deep] {
        assert_eq!(faults(of("Patient/p1", &[("urn:uuid:1", at_fault)])), ["/resource/subject/reference"]);
    }
    // Two versions that say two things.
    let patients = [("urn:uuid:1", &known), ("urn:uuid:1", &other)];
    assert_eq!(faults(of("urn:uuid:1", &patients)), ["/resource/subject/reference"]);
    assert_eq!(faults(of("Patient/p1", &patients)), ["/resource/subject/reference"]);
    assert_eq!(whom(of("urn:uuid:1", &[("urn:uuid:1", &known), ("urn:uuid:1", &known)])), "610102********0016");
}

#[test]
fn a_bundles_entries_are_read_as_they_ask() {
    let entry = |resource: Value, method: &str, url: &str| json!({"fullUrl": "urn:uuid:1", "resource": resource, "request": {"method": method, "url": url}});
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
    let mut rows = bundle.entries.into_iter().map(read);
    let [patient, observation] = [(); 2].map(|()| rows.next().unwrap().event.unwrap().event.subject);
    assert!(patient == observation, "a fullUrl stands for its Patient");
    let pointers: Vec<_> = rows.flat_map(faults).collect();
    assert_eq!(pointers, ["/request/method", "/request/url", "/resource/name", "/request", "/resource", ""]);

    let kind = |text: &'static str| fhir::Bundle::read(&Bytes::from_static(text.as_bytes())).map(|b| b.is_some());
    assert_eq!(kind(r#"{"resourceType":"Patient"}"#), Ok(false));
    assert_eq!(kind("{").unwrap_err().kind, ProblemType::Malformed);
    assert_eq!(kind(r#"{"resourceType":"Bundle","type":"history"}"#).unwrap_err().errors[0].pointer, "/type");
    assert_eq!(kind(r#"{"id":"p1"}"#).unwrap_err().errors[0].pointer, "/resourceType");
}

#[test]
fn an_entry_that_asks_for_more_is_refused() {
    let entry = |resource: Value, method: &str, url: &str| json!({"fullUrl": "urn:uuid:1", "resource": resource, "request": {"method": method, "url": url}});
    let pointer = |entries: Value| -> Vec<_> {
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let rows = fhir::Bundle::read(&bundle.to_string().into()).unwrap().unwrap().entries;
        rows.into_iter().flat_map(|row| faults(read(row))).collect()
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
    // A fullUrl is one resource's, in whatever version.
    let put = |resource: &Value, url: &str| entry(resource.clone(), "PUT", url);
    let mut referring = observation();
    referring["subject"]["reference"] = json!("urn:uuid:1");
    let mut other = put(&referring, "Observation/o1");
    other["fullUrl"] = json!("urn:uuid:2");
    assert_eq!(pointer(json!([put(&patient, "Patient/p1"), put(&patient, "Patient/p1"), other])), [""; 0]);
    let twice = json!([put(&patient, "Patient/p1"), put(&observation(), "Observation/o1"), other]);
    assert_eq!(pointer(twice), ["/fullUrl", "/fullUrl", "/resource/subject/reference"]);
}

#[test]
fn a_csv_record_is_the_event_that_it_stands_for() {
    let file = "\u{feff}id,kind,document_type,document_number,occurred_at,test,result,vaccine,dose\r\n\
        lab7-000123,test_result,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,nucleic_acid,negative,,\r\n\
        \r\n\
        \"v,1\",vaccination,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,,,208,two\r\n\
        t-2,test_result,cn_resident_id,610102199003070010,2026-09-21T07:30:00Z,antigen,fine,208,\r\n\
        ,,,,,,,,\r\n\
        t-3,test_result\r\n";
    let records = csv::records(&file.into()).unwrap();
    assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5, 7]);
    let mut rows = records.into_iter().map(|(_, record)| read(record));
    let first = rows.next().unwrap();
    assert_eq!(first.id.as_deref(), Some("lab7-000123"));
    assert_eq!(first.event.unwrap().hash, read_event(&test_result()).event.unwrap().hash, "the same event as in JSON");
    let pointers: Vec<_> = rows.map(faults).collect();
    assert_eq!(pointers, [vec!["/id", "/dose"], vec!["/document_number", "/result", "/vaccine"], vec![""]]);

    let header = |file: &str| -> Vec<String> {
        let problem = csv::records(&file.to_owned().into()).map(|_| ()).unwrap_err();
        problem.errors.into_iter().map(|error| error.pointer).collect()
    };
    assert_eq!(header("id,kind,document_type,document_number\n"), ["/occurred_at"]);
    assert_eq!(header("id,kind,document_type,document_number,occurred_at,id,colr\n"), ["/id", ""]);
    assert_eq!(header("").len(), 6);
    assert_eq!(header(&",".repeat(10_000_000)), [""], "a column that nobody knows is not told a million times");
}

#[test]
fn a_quote_out_of_place_makes_one_row_of_two_and_nothing_is_taken() {
    let rows = |why: [&str; 2]| {
        let row = |(n, why)| {
            format!("r-{n},retraction,cn_resident_id,61010219900307001{n},2026-09-21T07:30:00Z,t-{n},{why}\n")
        };
        let header = "id,kind,document_type,document_number,occurred_at,event_id,why\n".to_owned();
        csv::records(&(header + &(6..).zip(why).map(row).collect::<String>()).into())
    };
    assert_eq!(rows(["mixed up", "\"sent, twice\""]).unwrap().len(), 2);
    for why in [["\"mixed up", "\"sent twice\""], ["\"mixed up", "sent twice"], ["mixed up\"", "x"]] {
        let problem = rows(why).map(|_| ()).unwrap_err();
        assert_eq!(problem.kind, ProblemType::Malformed);
        assert!(problem.detail.starts_with("line 2: ") && !problem.detail.contains("mixed"), "{}", problem.detail);
    }
    // By its quotes this is one row, and no text that somebody wrote has another row in it.
    let mut one = rows(["\"mixed up", "twice\""]).unwrap();
    assert_eq!((one.len(), faults(read(one.remove(0).1))), (1, vec!["/why".to_owned()]));
}

#[test]
fn not_json_is_malformed_whatever_it_is() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [&b"{"[..], b"\xff\xfe", deep.as_bytes(), b"{\"id\":\"\xff\"}"] {
        let Err(NotTaken::Rejected(problem)) = read(Input::Event(Bytes::copy_from_slice(text))).event else { panic!() };
        assert_eq!(problem.kind, ProblemType::Malformed);
    }
    let long = vec![b' '; MAX_EVENT_BYTES + 1];
    let Err(NotTaken::Rejected(problem)) = read(Input::Event(long.into())).event else { panic!() };
    assert_eq!(problem.kind, ProblemType::TooLarge);
}

proptest! {
    #[test]
    fn noise_never_panics(text in any::<Vec<u8>>(), fhir in any::<bool>()) {
        read(if fhir { Input::Fhir(text.clone().into()) } else { Input::Event(text.clone().into()) });
        // What is no CSV is refused; what is one has rows that can be read.
        for (_, record) in csv::records(&text.clone().into()).unwrap_or_default() {
            read(record);
        }
        drop(fhir::Bundle::read(&text.into()));
    }

    /// Any value anywhere in a good event: a fault names a place, nothing panics, and no submitted text is repeated.
    #[test]
    fn faults_repeat_nothing(at in 0..9usize, text in "[a-z]{12}") {
        let pointers = ["/id", "/revision", "/kind", "/occurred_at", "/subject", "/subject/document_type",
            "/subject/document_number", "/data/test", "/data/result"];
        let row = read_event(&with(pointers[at], json!(text)));
        if let Err(NotTaken::Rejected(problem)) = row.event {
            prop_assert!(!problem.errors.is_empty());
            prop_assert!(!serde_json::to_string(&problem).unwrap().contains(&text));
        } else {
            prop_assert_eq!(at, 0); // a fine id
        }
    }
}

#[test]
fn results_are_read_as_they_are_named() {
    for (name, expected) in [
        ("negative", TestOutcome::Negative),
        ("positive", TestOutcome::Positive),
        ("inconclusive", TestOutcome::Inconclusive),
        ("invalid", TestOutcome::Invalid),
    ] {
        let EventData::TestResult { result, .. } =
            read_event(&with("/data/result", json!(name))).event.unwrap().event.data
        else {
            panic!()
        };
        assert_eq!(result, expected);
    }
}
