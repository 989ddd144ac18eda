//! FHIR resources.

use super::*;

pub(super) fn immunization() -> Value {
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
    let patient = decode_fhir(&patient).event.unwrap().0;
    let dose = decode_fhir(&immunization()).event.unwrap().0;
    assert!(patient.event.subject == dose.event.subject);
    assert_eq!((patient.event.id.as_str(), patient.event.revision), ("Patient/p1", 4));
    let hidden = json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "An\u{202e}na"}]});
    assert_eq!(error_pointers(decode_fhir(&hidden)), ["/name"]);
    let EventData::Identity { name, born, deceased_at } = patient.event.data else { panic!() };
    assert_eq!((name.as_str(), born), ("A*** L**", None), "a date of birth is not kept");
    assert_eq!(patient.event.occurred_at, Time::default(), "nor is it a time");
    assert_eq!(deceased_at.unwrap().to_string(), "2022-01-01T00:00:00Z");
}

#[test]
fn fhir_errors_name_their_element() {
    let changed = |key: &str, value: Value| {
        let mut resource = immunization();
        resource[key] = value;
        error_pointers(decode_fhir(&resource))
    };
    for unknown in ["Bundle", "Parameters", "Binary", "Result", ""] {
        assert_eq!(changed("resourceType", json!(unknown)), ["/resourceType"], "{unknown}");
    }
    assert_eq!(changed("id", json!("a/b")), ["/id"]);
    assert_eq!(changed("status", json!("on-hold")), ["/status"]);
    assert_eq!(changed("patient", json!({"reference": "urn:uuid:1"})), ["/patient/reference"]);
    assert_eq!(changed("vaccineCode", json!({"text": "the blue one"})), ["/vaccineCode/coding"]);
    assert_eq!(changed("occurrenceDateTime", json!("May")), ["/occurrenceDateTime"]);
    assert_eq!(changed("occurrenceDateTime", json!("2030")), ["/occurrenceDateTime"]);
    assert_eq!(changed("modifierExtension", json!([])), ["/modifierExtension"]);
    assert_eq!(changed("meta", json!({"versionId": "v2"})), ["/meta/versionId"]);
    assert_eq!(changed("meta", json!({"versionId": "9007199254740992"})), ["/meta/versionId"]);
    assert_eq!(changed("meta", json!({"versionId": "v2", "lastUpdated": "May"})), ["/meta/lastUpdated"]);
}

#[test]
fn a_resource_that_states_what_cannot_be_is_refused() {
    let patient = |born: &str, died: Option<&str>, updated: Option<&str>| {
        let number = json!({"system": "urn:oid:2.16.156.10011.1.3", "value": "610102199003070016"});
        let mut patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Anna"}],
            "identifier": [number], "birthDate": born});
        died.into_iter().for_each(|died| patient["deceasedDateTime"] = json!(died));
        updated.into_iter().for_each(|updated| patient["meta"] = json!({"lastUpdated": updated}));
        error_pointers(decode_fhir(&patient))
    };
    for (born, died) in [("1990", None), ("1850-01", None), ("2026-09-21", None), ("1990-03-07", Some("1990"))] {
        assert_eq!(patient(born, died, None), [""; 0], "{born}");
    }
    for born in ["1849-12-31", "2999", "2026-10", "0001-01-01", "1990-02-30"] {
        assert_eq!(patient(born, None, None), ["/birthDate"], "{born}");
    }
    assert_eq!(patient("1990-03-07", Some("1990-03-06"), None), ["/deceasedDateTime"]);
    assert_eq!(patient("1990-03", Some("1989-12-31T23:00:00Z"), None), ["/deceasedDateTime"]);
    assert_eq!(patient("1990-03-07", None, Some("1989-01-01T00:00:00Z")), ["/meta/lastUpdated"]);

    let given = |time: &str| {
        let mut dose = immunization();
        dose["occurrenceDateTime"] = json!(time);
        error_pointers(decode_fhir(&dose))
    };
    assert_eq!([given("2020"), given("2019-12")], [[""; 0], [""; 0]]);
    for time in ["1980-01-01", "2018", "2019-11-29", "0001-01-01T00:00:00Z"] {
        assert_eq!(given(time), ["/occurrenceDateTime"], "{time}");
    }
    let mut sampled = observation();
    sampled["effectiveDateTime"] = json!("0001-01-01T00:00:00Z");
    assert_eq!(error_pointers(decode_fhir(&sampled)), ["/effectiveDateTime"]);
    sampled["effectiveDateTime"] = json!("2026-09-20");
    let resident = |number: &str| json!({"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": number}});
    sampled["subject"] = resident("610102209903070018");
    assert_eq!(error_pointers(decode_fhir(&sampled)), ["/subject"]);
    sampled["subject"] = resident("61010220260922001X");
    assert_eq!(error_pointers(decode_fhir(&sampled)), ["/effectiveDateTime"], "tested before birth");
}

#[test]
fn a_member_that_a_resource_has_twice_is_refused_and_named() {
    let sent = observation().to_string().replacen(r#""260373001""#, r#""260415000","code":"260373001""#, 1);
    let row = decode(RawRow::Fhir(sent.into()));
    assert_eq!(error_pointers(row), ["/valueCodeableConcept/coding/0/code"]);
}

#[test]
fn a_panel_is_as_positive_as_its_most_positive_test() {
    let snomed = |code: &str| json!({"coding": [{"system": "http://snomed.info/sct", "code": code}]});
    let loinc = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let (detected, not_detected) = ("260373001", "260415000");
    let panel = |code: &str, components: &[(&str, &str)]| {
        let mut resource = observation();
        resource["code"] = loinc(code);
        resource.as_object_mut().unwrap().remove("valueCodeableConcept");
        let component =
            |(code, value): &(&str, &str)| json!({"code": loinc(code), "valueCodeableConcept": snomed(value)});
        resource["component"] = components.iter().map(component).collect();
        resource
    };
    let result = |resource: &Value| {
        let data = decode_fhir(resource).event.unwrap().0.event.data;
        let EventData::TestResult { test, result } = data else { panic!("{resource}") };
        (test, result)
    };
    for (code, expected) in [("95409-9", TestOutcome::Positive), ("94534-5", TestOutcome::Positive)] {
        let mut gene = observation();
        gene["code"] = loinc(code);
        assert_eq!(result(&gene), (TestKind::NucleicAcid, expected), "{code}");
    }
    let genes = [("94533-7", not_detected), ("94534-5", detected)];
    // 95380-2: a panel of influenza and SARS-CoV-2, of which only the tests for the latter count.
    for code in ["94531-1", "95380-2"] {
        assert_eq!(result(&panel(code, &genes)), (TestKind::NucleicAcid, TestOutcome::Positive), "{code}");
        assert_eq!(result(&panel(code, &genes[..1])), (TestKind::NucleicAcid, TestOutcome::Negative), "{code}");
    }
    let influenza = panel("95380-2", &[("80382-5", detected), ("94533-7", not_detected)]);
    assert_eq!(result(&influenza), (TestKind::NucleicAcid, TestOutcome::Negative), "influenza does not count");
    let unknown = panel("94531-1", &[("94533-7", not_detected), ("99999-9", detected)]);
    assert_eq!(error_pointers(decode_fhir(&unknown)), ["unread: /valueCodeableConcept/coding"]);
    let two_kinds = panel("94531-1", &[("94533-7", not_detected), ("94558-4", detected)]);
    assert_eq!(error_pointers(decode_fhir(&two_kinds)), ["/component/1/code/coding"]);
    let mut contradiction = panel("94531-1", &genes);
    contradiction["valueCodeableConcept"] = snomed(not_detected);
    assert_eq!(error_pointers(decode_fhir(&contradiction)), ["/component/1/valueCodeableConcept/coding"]);
}

#[test]
fn a_positive_result_that_is_not_understood_is_never_ignored() {
    type Change<'a> = dyn Fn(&mut Value) + 'a;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut resource = observation();
        change(&mut resource);
        error_pointers(decode_fhir(&resource))
    };
    let loinc = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code}]});
    let interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
    let interpretation = |code: &str| json!([{"coding": [{"system": interpretations, "code": code}]}]);
    let (unread_code, unread_value) = (["unread: /code/coding"], ["unread: /valueCodeableConcept/coding"]);
    let ignored = ["ignored: not a test for SARS-CoV-2 that counts here (by its LOINC code)"];
    let ways: [(&str, &Change<'_>); 5] = [
        ("by a code", &|_| {}),
        ("in words", &|r| r["valueCodeableConcept"] = json!({"text": "Detected"})),
        ("in Chinese", &|r| r["valueCodeableConcept"] = json!({"text": "阳性"})),
        ("by the name of an unknown code", &|r| {
            r["valueCodeableConcept"] = json!({"coding": [{"system": "urn:lab", "code": "P", "display": "POSITIVE"}]});
        }),
        ("by its interpretation", &|r| {
            r.as_object_mut().unwrap().remove("valueCodeableConcept");
            r["interpretation"] = interpretation("POS");
        }),
    ];
    for (how, change) in ways {
        let unknown = with(&|r| {
            change(r);
            r["code"] = loinc("99999-9");
        });
        assert_eq!(unknown, unread_code, "{how}");
        let older = with(&|r| {
            change(r);
            r["code"] = loinc("2093-3");
        });
        assert_eq!(older, ignored, "{how}: LOINC had this code before the disease existed");
    }
    let named = |r: &mut Value| {
        r["code"] = json!({"text": "COVID-19", "coding": [{"system": "http://loinc.org", "code": "2093-3"}]})
    };
    assert_eq!(with(&named), unread_code);
    let local = |r: &mut Value| r["code"] = json!({"coding": [{"system": "urn:lab", "code": "PCR"}]});
    assert_eq!(with(&local), unread_code);
    let antibodies = |r: &mut Value| r["code"] = loinc("94563-4");
    assert_eq!(with(&antibodies), ignored);
    let negative = |r: &mut Value| {
        r["code"] = loinc("99999-9");
        r["valueCodeableConcept"] = json!({"text": "Not detected"});
    };
    assert_eq!(with(&negative), ignored);
    let preliminary = |r: &mut Value| {
        r["code"] = loinc("99999-9");
        r["status"] = json!("preliminary");
    };
    assert_eq!(with(&preliminary), ignored);
    // Of a test that counts, whatever is not stated to be negative may be positive.
    let value = |value: Value| with(&|r| r["valueCodeableConcept"] = value.clone());
    assert_eq!(value(json!({"text": "see report"})), unread_value);
    assert_eq!(value(json!({"text": "negative"})), ["/valueCodeableConcept/coding"]);
    let interpreted = |code: &str| with(&|r| r["interpretation"] = interpretation(code));
    assert_eq!(interpreted("NEG"), ["/interpretation"], "it contradicts the value");
    assert!(interpreted("POS").is_empty() && interpreted("A").is_empty());
}

#[test]
fn a_resource_that_states_one_thing_twice_is_refused() {
    let with = |mut resource: Value, key: &str, value: Value| {
        resource[key] = value;
        error_pointers(decode_fhir(&resource))
    };
    assert_eq!(with(observation(), "valueString", json!("negative")), ["/valueString"]);
    assert_eq!(with(observation(), "dataAbsentReason", json!({"text": "lost"})), ["/dataAbsentReason"]);
    assert_eq!(with(observation(), "effectiveInstant", json!("2026-09-19T07:30:00Z")), ["/effectiveInstant"]);
    assert_eq!(with(immunization(), "occurrenceString", json!("in May")), ["/occurrenceString"]);
    let dead = json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Anna"}], "deceasedBoolean": false});
    assert_eq!(with(dead, "deceasedDateTime", json!("2022")), ["/deceasedDateTime"]);
}

#[test]
fn the_revision_is_the_version_number_or_the_time_of_the_last_change() {
    let revision = |meta: Value| {
        let mut resource = immunization();
        resource["meta"] = meta;
        decode_fhir(&resource).event.unwrap().0.event.revision
    };
    let at = "2026-09-21T08:00:00.250Z";
    assert_eq!(revision(json!({})), 0);
    assert_eq!(revision(json!({"versionId": "7", "lastUpdated": at})), 7);
    assert_eq!(revision(json!({"lastUpdated": at})), 1_789_977_600_250);
    assert_eq!(revision(json!({"versionId": "W/two", "lastUpdated": at})), 1_789_977_600_250);
}

#[test]
fn a_date_begins_at_the_configured_offset() {
    let given = |offset: i16, date: &str| {
        let mut resource = immunization();
        resource["occurrenceDateTime"] = json!(date);
        let row = decode_at(offset, RawRow::Fhir(resource.to_string().into()));
        row.event.map(|(stored, _)| stored.event.occurred_at.to_string()).map_err(|_| ())
    };
    let utc = |time: &str| Ok(time.to_owned());
    assert_eq!(given(0, "2026-09-20"), utc("2026-09-20T00:00:00Z"));
    assert_eq!(given(480, "2026-09-20"), utc("2026-09-19T16:00:00Z"));
    assert_eq!(given(-720, "2021-05"), utc("2021-05-01T12:00:00Z"));
    assert_eq!(given(480, "2021"), utc("2020-12-31T16:00:00Z"));
    assert_eq!(given(480, "2026-09-20T07:00:00+02:00"), utc("2026-09-20T05:00:00Z"), "a time has its own offset");
    // At 14:13 UTC on the 21st, the 22nd has begun ten hours east of UTC.
    assert_eq!(given(480, "2026-09-22"), Err(()));
    assert_eq!(given(600, "2026-09-22"), utc("2026-09-21T14:00:00Z"));
    for no_date in
        ["2026-09-20 23:00:00+08:00", "2026-09-20 07:00", "20260920", "2026-9-20", "26-09-20", "2026-09-2", ""]
    {
        assert_eq!(given(0, no_date), Err(()), "{no_date}");
    }
}

/// The retraction of a resource: event id, reason, time.
fn retraction(resource: &Value) -> (String, String, String) {
    let event = decode_fhir(resource).event.unwrap().0.event;
    let EventData::Retraction { event_id, why } = event.data else { panic!("{resource}") };
    assert_eq!(event.id, event_id, "a resource retracts itself");
    (event_id, why, event.occurred_at.to_string())
}

#[test]
fn a_resource_that_no_longer_holds_retracts_itself() {
    let expected = |id: &str, why: &str, at: &str| (id.to_owned(), why.to_owned(), at.to_owned());
    let (given, sampled) = ("2021-05-16T09:15:06Z", "2026-09-20T07:30:00Z");
    let mut dose = immunization();
    for (status, why) in [("not-done", "not done"), ("entered-in-error", "entered in error")] {
        dose["status"] = json!(status);
        assert_eq!(retraction(&dose), expected("Immunization/i1", why, given));
    }
    dose["status"] = json!("completed");
    dose["isSubpotent"] = json!(true);
    assert_eq!(retraction(&dose), expected("Immunization/i1", "subpotent", given));
    let mut test = observation();
    for (status, why) in [("cancelled", "cancelled"), ("entered-in-error", "entered in error")] {
        test["status"] = json!(status);
        assert_eq!(retraction(&test), expected("Observation/o1", why, sampled));
    }
    test["status"] = json!("corrected");
    test.as_object_mut().unwrap().remove("valueCodeableConcept");
    test["dataAbsentReason"] = json!({"text": "lost"});
    assert_eq!(retraction(&test), expected("Observation/o1", "no result", sampled));

    // An irrelevant resource stays ignored, unless it was entered in error: its code may have been the error.
    let ignored = |resource: &Value| error_pointers(decode_fhir(resource))[0].starts_with("ignored: not a ");
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
        assert_eq!(retraction(resource).2, "1970-01-01T00:00:00Z", "no other element is needed");
        resource["meta"] = json!({"lastUpdated": "2026-09-21T08:00:00Z"});
        assert_eq!(retraction(resource).2, "2026-09-21T08:00:00Z");
    }
    test["effectiveDateTime"] = json!("2026-09-30");
    assert_eq!(retraction(&test).2, "2026-09-21T08:00:00Z", "a planned time is not used");
    test.as_object_mut().unwrap().remove("meta");
    assert_eq!(error_pointers(decode_fhir(&test)), ["/effectiveDateTime"]);
}

pub(super) fn observation() -> Value {
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
        let EventData::TestResult { test, result } = decode_fhir(&resource).event.unwrap().0.event.data else {
            panic!()
        };
        assert_eq!((test, result), expected);
    }
    let changed = |key: &str, value: Value| {
        let mut resource = observation();
        resource[key] = value;
        error_pointers(decode_fhir(&resource))
    };
    let loinc = "http://loinc.org";
    assert_eq!(changed("code", coded("urn:lab", "94500-6")), ["unread: /code/coding"]);
    let ignored = "ignored: not a test for SARS-CoV-2 that counts here (by its LOINC code)";
    assert_eq!(changed("code", coded(loinc, "2093-3")), [ignored]);
    let two = json!({"coding": [{"system": loinc, "code": "94500-6"}, {"system": loinc, "code": "94558-4"}]});
    assert_eq!(changed("code", two), ["/code/coding"]);
    let unread = ["unread: /valueCodeableConcept/coding"];
    assert_eq!(changed("valueCodeableConcept", coded("http://snomed.info/sct", "1")), unread);
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
    assert_eq!(error_pointers(decode_fhir(&absent)), ["/dataAbsentReason"], "a result in words is not ignored");
    absent.as_object_mut().unwrap().remove("dataAbsentReason");
    assert_eq!(error_pointers(decode_fhir(&absent)), unread);

    let mut period = observation();
    let fields = period.as_object_mut().unwrap();
    fields.remove("effectiveDateTime");
    fields.insert("effectivePeriod".into(), json!({"start": "2026-09-19T00:00:00Z", "end": "2026-09-20T00:00:00Z"}));
    assert_eq!(decode_fhir(&period).event.unwrap().0.event.occurred_at.to_string(), "2026-09-19T00:00:00Z");
}

#[test]
fn what_does_not_count_takes_back_the_earlier_versions_of_its_id() {
    let withdrawal = |row: DecodedRow| match row.event {
        Err(RowError::NotCounted(fact)) => fact.withdrawal.map(|withdrawal| withdrawal.map(|(event, _)| event)),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it counts"),
    };
    let mut influenza = immunization();
    influenza["vaccineCode"]["coding"][0]["code"] = json!("141");
    influenza["meta"] = json!({"versionId": "2"});
    let mut glucose = observation();
    glucose["code"]["coding"][0]["code"] = json!("2345-7");
    glucose["status"] = json!("corrected");
    for (resource, version) in [(&influenza, (2, Rank::Original)), (&glucose, (0, Rank::Corrected))] {
        let event = withdrawal(decode_fhir(resource)).unwrap().unwrap();
        let EventData::Retraction { event_id, .. } = &event.event.data else { panic!() };
        assert_eq!((event_id == &event.event.id, event.version()), (true, version));
    }
    glucose["subject"] = json!({"reference": "Group/p1"});
    let problem = withdrawal(decode_fhir(&glucose)).unwrap().unwrap_err();
    assert_eq!(problem.errors[0].pointer, "/subject/reference");
    influenza.as_object_mut().unwrap().remove("id");
    assert!(withdrawal(decode_fhir(&influenza)).is_none(), "its code is part of its id");
    glucose["status"] = json!("preliminary");
    assert!(matches!(decode_fhir(&glucose).event, Err(RowError::Ignored(_))), "it says nothing yet");

    let mut event = test_result();
    (event["kind"], event["data"]) = (json!("vaccination"), json!({"vaccine": "140"}));
    assert!(withdrawal(decode_event(&event)).is_none(), "the first revision");
    event["revision"] = json!(1);
    assert_eq!(withdrawal(decode_event(&event)).unwrap().unwrap().version(), (1, Rank::Original));
}
