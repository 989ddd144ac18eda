//! The audit of the cache: it finds a view whose change was never published, a fault that a failpoint makes here.

use std::time::Duration;

use yima_harness::checker::options;
use yima_harness::{Region, new_person, until};

use crate::cql::cluster;

/// The documented bound is a minute after the audit has read the view; a round of the audit
/// takes less than a second here.
const FOUND_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn the_audit_finds_and_repairs_a_view_whose_change_was_not_published() {
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
    assert!(writer.stderr().contains("failpoint triggered"), "the change was written:\n{}", writer.stderr());
    let mut superseded_shown = 0;
    until("the audit to find the superseded view", FOUND_WITHIN, || {
        let is_superseded = colour() == "green";
        superseded_shown += u32::from(is_superseded);
        !is_superseded
    });
    assert!(superseded_shown > 0, "the change was published after all");
    assert_eq!(colour(), "red");
    assert_eq!(reader.metric("cache_audit_findings_total", &[]), 1.0);
    assert!(reader.stderr().contains("the audit found a view that is older than the store's"), "{}", reader.stderr());
    // The next change is published as usual.
    assert_eq!(writer.event(&lab, &person.test("w-3", "negative", Duration::from_secs(30))), "accepted");
    let is_shown = || reader.display_now(&session).json(200)["tests"][0]["result"] == "negative";
    until("the next change", FOUND_WITHIN, is_shown);
    assert_eq!(reader.metric("cache_audit_findings_total", &[]), 1.0);
}
