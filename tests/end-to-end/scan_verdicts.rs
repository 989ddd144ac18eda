//! Scans at the checkpoint: every scanned text gets a verdict, a reason and an instruction.

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, ago, new_person, until};
use yima_schema::time::HOUR;

use crate::shared;

/// The scan has this verdict and reason, an instruction, and nothing about a person.
#[track_caller]
fn assert_refused(scan: &Value, verdict: &str, reason: &str) {
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!(verdict), &json!(reason)));
    assert!(scan["instruction"].as_str().is_some_and(|text| text.ends_with('.')));
    assert_eq!((&scan["identity"], &scan["colour"], &scan["vaccination"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(scan["tests"], json!([]));
}

/// The code with one bit of its CBOR flipped; the byte is counted from the end.
fn with_flipped_bit(code: &str, from_end: usize) -> String {
    let mut cbor = base45::decode(code.strip_prefix("YM1:").expect("a code's prefix")).expect("Base45");
    let at = cbor.len() - 1 - from_end;
    cbor[at] ^= 1;
    format!("YM1:{}", base45::encode(cbor))
}

fn session_of_tested_person(yima: &Yima) -> String {
    let person = new_person();
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    yima.session_of(&person)
}

#[test]
fn a_code_expires_and_is_of_an_unknown_issuer_elsewhere() {
    let brief = Yima::start(Options::default().env("YIMA_READ_API__CODE_LIFETIME_S", 1));
    let session = session_of_tested_person(&brief);
    let (code, guard) = (brief.code(&session), brief.checkpoint_session());
    let mut last = Value::Null;
    // Polled fewer than 50 times a second, the limit of a checkpoint.
    until("the code's end", Duration::from_secs(5), || {
        last = brief.scan(&guard, &code);
        last["reason"] != "green"
    });
    assert_refused(&last, "check", "expired");

    let yima = shared();
    assert_refused(&yima.scan(&yima.checkpoint_session(), &code), "check", "unknown_issuer");
}

#[test]
fn a_forged_or_malformed_code_reveals_nothing() {
    let yima = shared();
    let (session, guard) = (session_of_tested_person(&yima), yima.checkpoint_session());
    let code = yima.code(&session);
    assert_eq!(yima.scan(&guard, &code)["verdict"], "pass");
    assert_eq!(yima.scan(&guard, &format!("  {code}\n"))["verdict"], "pass", "scanners add white space");
    // The MAC is the last 8 bytes; the signature precedes it, and some bytes before it is the handle.
    for at in [0, 7, 9, 72, 115] {
        assert_refused(&yima.scan(&guard, &with_flipped_bit(&code, at)), "stop", "forged");
    }
    let (cut, long) = (&code[..code.len() / 2], format!("YM1:{}", "A".repeat(2_000)));
    for text in [
        "",
        "hello",
        "YM1:",
        "YM1:%%%",
        "HC1:6BF+70790T9WJWG.FKY*4GO0",
        "https://example.org/",
        "\u{0}",
        "健康",
        cut,
        &long,
    ] {
        assert_refused(&yima.scan(&guard, text), "check", "malformed");
    }
}

#[test]
fn a_policy_finds_a_negative_test_behind_newer_ones_without_a_result() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR * 20));
    for (id, hours) in [("t-2", 6), ("t-3", 4), ("t-4", 2)] {
        yima.event(&lab, &person.test(id, "inconclusive", HOUR * hours));
    }
    let guard =
        |hours: &str| yima.session(&yima.token(&["checkpoint", "--name", "gate-3", "--require-test-within-h", hours]));
    let code = yima.code(&yima.session_of(&person));
    for (hours, reason) in [("48", "green"), ("24", "green"), ("12", "test_too_old")] {
        let scan = yima.scan(&guard(hours), &code);
        assert_eq!((&scan["reason"], scan["tests"].as_array().map(Vec::len)), (&json!(reason), Some(3)), "{hours} h");
    }
}

#[test]
fn the_code_of_an_unknown_subject_gets_a_check() {
    let yima = shared();
    let code = yima.code(&yima.session_of(&new_person()));
    let scan = yima.scan(&yima.checkpoint_session(), &code);
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("check"), &json!("nobody")));
    assert_eq!(scan["colour"]["code"], "none");
}

#[test]
fn a_checkpoints_policy_requires_a_test_within_its_hours() {
    let yima = shared();
    let lab = yima.agency_token("lab-7");
    let guard = |hours: &str| {
        let name = format!("gate-{hours}");
        yima.session(&yima.token(&["checkpoint", "--name", &name, "--require-test-within-h", hours]))
    };
    let (day, two_days) = (guard("24"), guard("48"));
    let code_of = |test: &str, result: &str, hours: u32| {
        let person = new_person();
        let data = json!({ "test": test, "result": result });
        yima.event(&lab, &person.event("t-1", "test_result", &ago(HOUR * hours), data));
        yima.code(&yima.session_of(&person))
    };
    for (test, result, hours, at_24, at_48) in [
        ("nucleic_acid", "negative", 2, ("pass", "green"), ("pass", "green")),
        ("nucleic_acid", "negative", 30, ("check", "test_too_old"), ("pass", "green")),
        ("nucleic_acid", "negative", 50, ("check", "test_too_old"), ("check", "test_too_old")),
        ("antigen", "negative", 2, ("check", "test_required"), ("check", "test_required")),
        ("nucleic_acid", "inconclusive", 2, ("check", "test_required"), ("check", "test_required")),
        ("nucleic_acid", "positive", 2, ("stop", "red"), ("stop", "red")),
    ] {
        let code = code_of(test, result, hours);
        for (guard, (verdict, reason)) in [(&day, at_24), (&two_days, at_48)] {
            let scan = yima.scan(guard, &code);
            assert_eq!(
                (&scan["verdict"], &scan["reason"]),
                (&json!(verdict), &json!(reason)),
                "{test} {result} {hours} h"
            );
        }
    }
}
