//! A change that no reader is told of, though its event was acknowledged: what must not happen, and how it comes to light when it does.

use std::thread;
use std::time::{Duration, Instant};

use yima_harness::checker::options;
use yima_harness::{Region, new_person, until};

use super::cluster;

/// Documented: a minute after the audit has seen it; and the audit's rounds here take less than a second.
const FOUND_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn the_audit_finds_a_change_that_was_withheld_and_mends_it() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "withheld", options());
    let writer = region.writer(&[("FAILPOINT", "before_changes:skip:2")]);
    let reader = region.reader(&[]);
    let (person, lab) = (new_person(), writer.agency_token("lab-7"));
    assert_eq!(writer.event(&lab, &person.test("w-1", "negative", Duration::from_secs(120))), "accepted");
    let session = reader.session_of(&person);
    let colour = || reader.display_now(&session).json(200)["colour"]["code"].as_str().expect("a colour").to_owned();
    assert_eq!(colour(), "green");

    assert_eq!(writer.event(&lab, &person.test("w-2", "positive", Duration::from_secs(60))), "accepted");
    assert!(writer.stderr().contains("a fault that a test asked for"), "the row was written:\n{}", writer.stderr());
    let begun = Instant::now();
    let mut shown_wrong = 0;
    while colour() == "green" {
        shown_wrong += 1;
        assert!(begun.elapsed() < FOUND_WITHIN, "nobody found it");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(shown_wrong > 0, "it was told after all");
    assert_eq!(colour(), "red");
    assert_eq!(reader.metric("cache_audit_findings_total", &[]), 1.0);
    assert!(reader.stderr().contains("the audit found a view that is older than the store's"), "{}", reader.stderr());
    // What comes afterwards is told as ever.
    assert_eq!(writer.event(&lab, &person.test("w-3", "negative", Duration::from_secs(30))), "accepted");
    let is_told = || reader.display_now(&session).json(200)["tests"][0]["result"] == "negative";
    until("what comes afterwards", FOUND_WITHIN, is_told);
    assert_eq!(reader.metric("cache_audit_findings_total", &[]), 1.0);
}
