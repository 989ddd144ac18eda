//! Events as JSON.

use super::*;

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
        Err(RowError::Rejected(problem)) => problem,
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
