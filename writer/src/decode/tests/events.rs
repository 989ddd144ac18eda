//! Events as JSON.

use utoipa::PartialSchema;
use yima_schema::event::{Colour, EventKind};
use yima_schema::limits::MAX_REVISION;

use super::*;

#[test]
fn the_documented_example_is_an_event() {
    let row = decode_event(&test_result());
    assert_eq!(row.id.as_deref(), Some("lab7-000123"));
    let stored = row.event.unwrap().0;
    assert_eq!(stored.event.document, "610102********0016");
    assert_eq!(stored.event.agency, "lab-7");
}

/// A valid event of a kind, with every field that its data can have.
pub(super) fn complete(kind: EventKind) -> Value {
    let mut event = with("/kind", json!(kind.as_str()));
    event["data"] = match kind {
        EventKind::Identity => json!({"name": "Anna", "born": "1990-03-07", "deceased_at": "2026-09-21T07:30:00Z"}),
        EventKind::TestResult => json!({"test": "antigen", "result": "invalid"}),
        EventKind::Vaccination => json!({"vaccine": "208", "dose": 2}),
        EventKind::ColourAssignment => {
            json!({"colour": "red", "reason": "quarantine", "until": "2026-09-28T07:30:00Z"})
        }
        EventKind::Retraction => json!({"event_id": "t-1", "why": "mixed up"}),
        EventKind::Guardianship => json!({
            "guardian_document_type": "passport",
            "guardian_document_number": "E12345678",
            "until": "2044-03-07T00:00:00Z",
        }),
        EventKind::Ward => json!({"ward": "x", "is_over": false}),
        EventKind::SessionEnd => json!({"sessions": {"through": "2026-09-21T07:30:00Z", "sessions": []}}),
        EventKind::Phone => json!({"id": 1, "change": {"Started": {"name": "Phone"}}}),
    };
    event
}

#[test]
fn every_kind_is_decoded_as_it_is_described() {
    for kind in EventKind::OF_AGENCIES {
        let event = complete(kind);
        assert_eq!(decode_event(&event).event.unwrap().0.event.data.kind(), kind);
        serde_json::from_value::<openapi::Event>(event.clone()).unwrap();
        // Every field that the description requires is required by the decoder, and the reverse.
        for (pointer, field) in [("", "id"), ("", "occurred_at"), ("/subject", "document_type"), ("/data", "")] {
            let fields = event.pointer(pointer).and_then(Value::as_object).unwrap().keys();
            for field in fields.filter(|key| field.is_empty() || *key == field) {
                let mut without = event.clone();
                without.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(field);
                let described = serde_json::from_value::<openapi::Event>(without.clone()).is_ok();
                assert_eq!(decode_event(&without).event.is_ok(), described, "{without}");
            }
        }
    }
}

#[test]
fn each_error_names_its_field() {
    for (pointer, value) in [
        ("/id", json!("has space")),
        ("/id", json!(7)),
        ("/revision", json!(-1)),
        ("/revision", json!(MAX_REVISION + 1)),
        ("/revision", json!(u64::MAX)),
        ("/revision", json!(1.5)),
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
        assert_eq!(error_pointers(decode_event(&with(pointer, value))), [pointer], "{pointer}");
    }
    assert_eq!(error_pointers(decode_event(&with("/subject", json!(3)))), ["/subject"]);
    assert_eq!(error_pointers(decode_event(&json!([]))), [""]);
    let several = json!({"kind": "identity", "data": {"born": "1990"}});
    assert_eq!(error_pointers(decode_event(&several)), ["/id", "/occurred_at", "/subject", "/data/name", "/data/born"]);
}

#[test]
fn the_largest_revision_is_the_one_that_is_described() {
    let largest = decode_event(&with("/revision", json!(MAX_REVISION))).event.unwrap().0;
    assert_eq!(largest.event.revision, MAX_REVISION);
    let described = serde_json::to_value(openapi::Event::schema()).unwrap().to_string();
    assert!(described.contains(&format!(r#""maximum":{MAX_REVISION}"#)), "{described}");
}

#[test]
fn a_member_sent_twice_is_refused_and_named() {
    let event = test_result().to_string();
    for (once, twice, pointer) in [
        (r#""result":"negative""#, r#""result":"positive","result":"negative""#, "/data/result"),
        (r#""revision":0"#, r#""revision":1,"revision":0"#, "/revision"),
        (r#""document_type""#, r#""document_type":"local","document_typ\u0065""#, "/subject/document_type"),
        (r#""data":{"#, r#""data":{},"data":{"#, "/data"),
        (r#""id""#, r#""unknown":1,"unknown":1,"id""#, "/unknown"),
    ] {
        let sent = event.replacen(once, twice, 1);
        assert_ne!(sent, event, "{once}");
        let row = decode(RawRow::Event(sent.clone().into()));
        assert_eq!(error_pointers(row), [pointer], "{sent}");
    }
}

#[test]
fn at_most_twenty_errors_are_reported_and_the_last_says_that_there_are_more() {
    let mut event = json!({"data": {}});
    for n in 0..2_000 {
        event["data"][format!("f{n}")] = json!(n);
        event[format!("f{n}")] = json!(n);
    }
    let problem = |event: &Value| match decode_event(event).event {
        Err(RowError::Rejected(problem)) => problem,
        _ => panic!("the event was accepted"),
    };
    let errors = problem(&event).errors;
    assert_eq!(errors.len(), 20);
    assert!(errors[..19].iter().all(|error| !error.detail.contains("more")));
    assert!(errors[19].detail.ends_with("; more errors are not listed"), "{}", errors[19].detail);
    event = test_result();
    for n in 0..20 {
        event[format!("f{n}")] = json!(n);
    }
    let errors = problem(&event).errors;
    assert!(errors.len() == 20 && !errors[19].detail.contains("more"), "there are no more than twenty");
}

#[test]
fn an_event_may_be_five_minutes_ahead() {
    assert!(decode_event(&with("/occurred_at", json!("2026-09-21T14:18:20Z"))).event.is_ok());
}

#[test]
fn an_agency_writes_under_its_own_name() {
    assert!(decode_event(&with("/agency", json!("lab-7"))).event.is_ok());
    assert_eq!(error_pointers(decode_event(&with("/agency", json!("lab-8")))), ["/agency"]);
    let local = |n: &str| with("/subject", json!({"document_type": "local", "document_number": n}));
    assert!(decode_event(&local("lab-7/42")).event.is_ok());
    assert_eq!(error_pointers(decode_event(&local("lab-8/42"))), ["/subject/document_number"]);
}

#[test]
fn a_reason_gives_only_its_colours() {
    let assignment = |colour: &str, reason: &str, until: Value| {
        let mut event = test_result();
        event["kind"] = json!("colour_assignment");
        event["data"] = json!({"colour": colour, "reason": reason, "until": until});
        error_pointers(decode_event(&event))
    };
    assert!(assignment("yellow", "close_contact", Value::Null).is_empty());
    assert_eq!(assignment("green", "close_contact", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "bank_deposit", Value::Null), ["/data/reason"]);
    assert_eq!(assignment("none", "released", Value::Null), ["/data/colour"]);
    assert_eq!(assignment("red", "quarantine", json!("2026-09-21T07:30:00Z")), ["/data/until"]);
}

#[test]
fn a_guardian_is_another_person_until_a_later_moment() {
    let guardianship = |field: &str, value: Value| {
        let mut event = complete(EventKind::Guardianship);
        event["data"][field] = value;
        error_pointers(decode_event(&event))
    };
    assert!(guardianship("until", Value::Null).is_empty());
    for (field, value) in [
        ("until", json!("2026-09-21T07:30:00Z")),
        ("until", json!("tomorrow")),
        ("until", json!(18)),
        ("guardian_document_type", json!("library_card")),
        ("guardian_document_type", Value::Null),
        ("guardian_document_number", json!("E1")),
        ("guardian_document_number", json!(7)),
        ("guardian_document_number", Value::Null),
        ("guardian", json!("x")),
    ] {
        assert_eq!(guardianship(field, value.clone()), [format!("/data/{field}")], "{value}");
    }
    let with_guardian = |kind: &str, number: &str| {
        let mut event = complete(EventKind::Guardianship);
        event["data"] = json!({"guardian_document_type": kind, "guardian_document_number": number});
        error_pointers(decode_event(&event))
    };
    let number = ["/data/guardian_document_number"];
    assert_eq!(with_guardian("cn_resident_id", "610102 1990 03070016"), number, "the subject");
    assert_eq!(with_guardian("cn_resident_id", "610102209903070018"), number, "not born yet");
    assert_eq!(with_guardian("local", "lab-8/42"), number, "another agency's number");
    assert!(with_guardian("local", "lab-7/42").is_empty());
    let mut before_birth = complete(EventKind::Guardianship);
    before_birth["occurred_at"] = json!("1989-01-01T00:00:00Z");
    assert_eq!(error_pointers(decode_event(&before_birth)), ["/occurred_at"]);
}

#[test]
fn other_vaccines_are_ignored_and_names_are_masked() {
    let mut event = test_result();
    event["kind"] = json!("vaccination");
    event["data"] = json!({"vaccine": "140", "dose": 1});
    assert!(error_pointers(decode_event(&event))[0].starts_with("ignored: not a COVID-19 vaccine"));
    event["kind"] = json!("identity");
    event["data"] = json!({"name": "张三", "born": "1990-03-07"});
    let EventData::Identity { name, .. } = decode_event(&event).event.unwrap().0.event.data else { panic!() };
    assert_eq!(name, "张*");
}

#[test]
fn what_cannot_be_is_refused_and_named() {
    let kind = |kind: EventKind, pointer: &str, value: &str| {
        let mut event = complete(kind);
        event.pointer_mut(pointer.rsplit_once('/').unwrap().0).unwrap()[pointer.rsplit_once('/').unwrap().1] =
            json!(value);
        error_pointers(decode_event(&event))
    };
    let refused = |pointer: &str| vec![pointer.to_owned()];
    // NOW is 2026-09-21T14:13:20Z, so it is the 22nd in Kiribati. The number says 1990-03-07.
    let identity = |pointer: &str, value: &str| kind(EventKind::Identity, pointer, value);
    assert!(identity("/data/born", "1850-01-01").is_empty());
    for born in ["2999-01-01", "2026-09-23", "1849-12-31", "0001-01-01"] {
        assert_eq!(identity("/data/born", born), refused("/data/born"), "{born}");
    }
    assert_eq!(
        identity("/data/born", "2026-09-22"),
        ["/data/born", "/data/deceased_at"],
        "after occurred_at, and dead"
    );
    for died in ["1990-03-06T09:00:00Z", "0001-01-01T00:00:00Z"] {
        assert_eq!(identity("/data/deceased_at", died), refused("/data/deceased_at"), "{died}");
    }
    assert_eq!(identity("/occurred_at", "1989-01-01T00:00:00Z"), ["/occurred_at", "/data/born"]);
    for of_the_disease in [EventKind::TestResult, EventKind::Vaccination, EventKind::ColourAssignment] {
        assert!(kind(of_the_disease, "/occurred_at", "2019-12-01T00:00:00Z").is_empty());
        for before in ["2019-11-30T23:59:59Z", "1980-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(kind(of_the_disease, "/occurred_at", before), refused("/occurred_at"), "{before}");
        }
    }
    assert!(kind(EventKind::Retraction, "/occurred_at", "0001-01-01T00:00:00Z").is_empty());
    let number = |number: &str| kind(EventKind::TestResult, "/subject/document_number", number);
    assert_eq!(number("610102209903070018"), refused("/subject/document_number"));
    assert_eq!(number("61010220260922001X"), refused("/occurred_at"), "tested before birth");
    assert!(number("610113 19750310 8869").is_empty(), "{:?}", number("610113 19750310 8869"));
}

#[test]
fn a_text_with_a_hidden_character_is_refused() {
    let mut event = test_result();
    event["kind"] = json!("identity");
    for name in
        ["张\u{202e}6100 2011 3991", "An\u{200b}na", "A\u{2028}B", "张\u{0}", "\u{301}\u{302}", "\u{2067}张三\u{2069}"]
    {
        event["data"] = json!({"name": name});
        assert_eq!(error_pointers(decode_event(&event)), ["/data/name"], "{name:?}");
    }
    event["kind"] = json!("retraction");
    event["data"] = json!({"event_id": "t-1", "why": "mixed\u{202e}up"});
    assert_eq!(error_pointers(decode_event(&event)), ["/data/why"]);
}

#[test]
fn every_result_test_and_assignable_colour_is_decoded_by_its_name() {
    let data = |event: &Value| decode_event(event).event.unwrap().0.event.data;
    for expected in TestOutcome::ALL {
        let event = with("/data/result", json!(expected.as_str()));
        assert!(matches!(data(&event), EventData::TestResult { result, .. } if result == expected));
    }
    for expected in TestKind::ALL {
        let event = with("/data/test", json!(expected.as_str()));
        assert!(matches!(data(&event), EventData::TestResult { test, .. } if test == expected));
    }
    for expected in Colour::ASSIGNABLE {
        let rules = Rules::built_in();
        let (reason, _) = rules.assignment_reasons.iter().find(|(_, may_give)| may_give.contains(&expected)).unwrap();
        let mut event = complete(EventKind::ColourAssignment);
        event["data"] = json!({"colour": expected.as_str(), "reason": reason});
        assert!(matches!(data(&event), EventData::ColourAssignment { colour, .. } if colour == expected));
    }
}

#[test]
fn an_agency_cannot_end_a_session_register_a_phone_or_write_a_notice() {
    for kind in [EventKind::SessionEnd, EventKind::Phone, EventKind::Ward] {
        let Err(RowError::Rejected(problem)) = decode_event(&complete(kind)).event else { panic!() };
        assert_eq!(problem.errors[0].pointer, "/kind");
        assert!(!problem.errors[0].detail.contains(kind.as_str()), "{}", problem.errors[0].detail);
    }
}
