//! Releases of the offline bundle by two writers of a region: one makes them, and the other goes on when it dies.

use std::time::Duration;

use yima_harness::{Region, new_person, now, until};
use yima_schema::time::{HOUR, Time};

use crate::cql::cluster;
use crate::offline_bundle::{Bundle, issuers, read};
use crate::phones::{Tokens, register};

#[test]
fn when_the_writer_that_releases_is_killed_the_other_goes_on() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "offline_bundle", yima_harness::checker::options());
    let env = [("YIMA_OFFLINE__RELEASE_PERIOD_S", "1"), ("YIMA_STORE__CQL__LEASE_MS", "3000")];
    let mut writers = [(); 2].map(|()| region.writer(&env));
    let address = |at: usize| writers[at].writer_url().strip_prefix("http://").expect("plain HTTP").to_owned();
    let reader = region.reader(&[env[0], ("YIMA_READ_API__WRITERS", &format!("[{:?}, {:?}]", address(0), address(1)))]);
    let released = |at: usize| writers[at].metric("offline_bundle_releases_total", &["outcome=\"released\""]);
    Bundle::of_after(&reader, Time::EPOCH);
    let counts = [released(0), released(1)];
    let mut builds = 0;
    until("the next release", Duration::from_secs(30), || {
        let more = [0, 1].into_iter().find(|at| released(*at) > counts[*at]);
        builds = more.unwrap_or(builds);
        more.is_some()
    });

    let (person, lab) = (new_person(), writers[0].agency_token("lab-7"));
    assert_eq!(writers[builds].event(&lab, &person.test("t-1", "negative", HOUR)), "accepted");
    let session = reader.session_of(&person);
    let phone = register(&reader, &session);
    let issuers = issuers(&reader);
    let first = read(&Tokens::fetch(&reader, &session, &phone).show(), &issuers);
    assert_eq!(writers[builds].event(&lab, &person.test("t-2", "positive", HOUR / 2)), "accepted");
    writers[builds].kill9();
    let bundle = Bundle::of_after(&reader, now());
    assert!(bundle.denies(&first), "it was denied before it was acknowledged");
    let second = read(&Tokens::fetch(&reader, &session, &phone).show(), &issuers);
    let other = &writers[1 - builds];
    assert_eq!(other.event(&lab, &person.test("t-3", "positive", HOUR / 3)), "accepted");
    let bundle = Bundle::of_after(&reader, now());
    assert!(bundle.denies(&first) && bundle.denies(&second));
}

/// The denials are written before the view. The other way round a writer that dies between them would leave a view that
/// nobody sets again, and codes of before that are never denied.
#[test]
fn a_writer_killed_between_denials_and_view_has_denied_the_codes_of_before_and_another_one_sets_the_view() {
    let region = Region::new(&cluster(), 1, "xian", "denials", yima_harness::checker::options());
    let env = [("YIMA_OFFLINE__RELEASE_PERIOD_S", "1"), ("YIMA_STORE__CQL__LEASE_MS", "3000")];
    let other = region.writer(&env);
    let address = format!("[{:?}]", other.writer_url().strip_prefix("http://").expect("plain HTTP"));
    let reader = region.reader(&[env[0], ("YIMA_READ_API__WRITERS", &address)]);
    let (person, lab) = (new_person(), other.agency_token("lab-7"));
    assert_eq!(other.event(&lab, &person.test("t-1", "negative", HOUR)), "accepted");
    let session = reader.session_of(&person);
    let phone = register(&reader, &session);
    let issuers = issuers(&reader);
    let before = read(&Tokens::fetch(&reader, &session, &phone).show(), &issuers);

    let mut writer = region.writer(&[("FAILPOINT", "denials_written:kill")]);
    let positive = person.test("t-2", "positive", HOUR / 2);
    let url = format!("{}/v1/events", writer.writer_url());
    let answer = writer.http().push(&url, &lab, "application/json", positive.to_string().as_bytes());
    assert!(answer.is_err(), "a dead writer has answered");
    assert!(!writer.wait().success(), "it was not killed");
    until("the view of the other writer", Duration::from_secs(30), || {
        reader.display_now(&session).json(200)["colour"]["code"] == "red"
    });
    assert_eq!(other.event(&lab, &positive), "duplicate");
    let after = read(&Tokens::fetch(&reader, &session, &phone).show(), &issuers);
    let bundle = Bundle::of_after(&reader, now());
    assert!(bundle.denies(&before) && !bundle.denies(&after));
}
