//! Codes at the checkpoint: whatever is scanned gets a verdict, a reason and an instruction.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use crate::shared;

/// A refused code tells a verdict and why, and nothing about anyone.
fn refuses(scan: &Value, verdict: &str, reason: &str) {
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!(verdict), &json!(reason)));
    assert!(scan["instruction"].as_str().is_some_and(|text| text.ends_with('.')));
    assert_eq!((&scan["identity"], &scan["colour"], &scan["vaccination"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(scan["tests"], json!([]));
}

/// The code with one bit of its CBOR turned, counted from the end.
fn altered(code: &str, from_end: usize) -> String {
    let mut cbor = base45::decode(code.strip_prefix("YM1:").expect("a code's prefix")).expect("Base45");
    let at = cbor.len() - 1 - from_end;
    cbor[at] ^= 1;
    format!("YM1:{}", base45::encode(cbor))
}

fn session_of_someone_tested(yima: &Yima) -> String {
    let person = new_person();
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    yima.session_of(&person)
}

#[test]
fn a_code_dies_with_its_time_and_is_no_code_elsewhere() {
    let brief = Yima::start(Options::default().env("YIMA_READ_API__CODE_LIFETIME_S", 1));
    let session = session_of_someone_tested(&brief);
    let (code, guard) = (brief.code(&session), brief.checkpoint_session());
    let begun = Instant::now();
    let last = loop {
        let scan = brief.scan(&guard, &code);
        if scan["reason"] != "green" {
            break scan;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "the code lives on");
        // 50 scans a second are allowed.
        std::thread::sleep(Duration::from_millis(25));
    };
    refuses(&last, "check", "expired");

    let yima = shared();
    refuses(&yima.scan(&yima.checkpoint_session(), &code), "check", "unknown_issuer");
}

#[test]
fn a_code_that_is_not_genuine_says_nothing_about_anyone() {
    let yima = shared();
    let (session, guard) = (session_of_someone_tested(&yima), yima.checkpoint_session());
    let code = yima.code(&session);
    assert_eq!(yima.scan(&guard, &code)["verdict"], "pass");
    assert_eq!(yima.scan(&guard, &format!("  {code}\n"))["verdict"], "pass", "scanners add white space");
    // The signature is the last 64 bytes; before it is what was signed.
    for at in [0, 63, 80] {
        refuses(&yima.scan(&guard, &altered(&code, at)), "stop", "forged");
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
        refuses(&yima.scan(&guard, text), "check", "malformed");
    }
}

#[test]
fn a_code_of_nobody_is_looked_into() {
    let yima = shared();
    let code = yima.code(&yima.session_of(&new_person()));
    let scan = yima.scan(&yima.checkpoint_session(), &code);
    assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("check"), &json!("nobody")));
    assert_eq!(scan["colour"]["code"], "none");
}

#[test]
fn a_checkpoint_s_policy_asks_for_a_test_of_so_many_hours() {
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
