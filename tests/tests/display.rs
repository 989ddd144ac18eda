//! Header fields of a display, and asking whether anything changed.

use std::time::Duration;

use yima_schema::time::{HOUR, Time};
use yima_tests::{Reply, Yima, new_person, now};

use crate::shared;

fn ask(yima: &Yima, session: &str, shown: &str) -> Reply {
    let (url, bearer) = (format!("{}/v1/display", yima.read_url()), format!("Bearer {session}"));
    let headers = [("authorization", bearer.as_str()), ("if-none-match", shown)];
    yima.http().send("GET", &url, &headers, None).expect("a whole answer")
}

fn describes_itself(reply: &Reply) {
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    assert!(reply.header("etag").starts_with('"') && reply.header("etag").ends_with('"'));
    assert_eq!(reply.header("vary").to_ascii_lowercase(), "authorization");
    assert!(reply.header("cache-status").starts_with("yima; "), "{}", reply.header("cache-status"));
    let as_of: Time = reply.header("yima-as-of").parse().expect("Yima-As-Of is RFC 3339");
    assert!(as_of <= now() && now().since(as_of) < Duration::from_secs(2), "fresh answers are at most max_lag old");
    assert!(reply.header("age").parse::<u32>().expect("Age is a number") <= 2);
    assert!(reply.header("yima-refresh-after").parse::<u32>().expect("a number of seconds") >= 1);
    assert!(reply.header("ratelimit").starts_with("\"display\";r="), "{}", reply.header("ratelimit"));
    assert!(reply.header("ratelimit-policy").starts_with("\"display\";q="));
    assert!(!reply.header("x-request-id").is_empty());
}

#[test]
fn an_unchanged_display_is_304_and_a_change_is_200() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let session = yima.session_of(&person);
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let first = yima.display(&session);
    assert_eq!((first.status, first.header("content-type")), (200, "application/json"));
    describes_itself(&first);
    let etag = first.header("etag");
    let again = yima.display(&session);
    assert_eq!((again.header("etag"), &again.body), (etag, &first.body));
    assert_eq!(again.header("cache-status"), "yima; hit; detail=hit_memory");

    for shown in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let unchanged = ask(&yima, &session, &shown);
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{shown}");
        assert_eq!((unchanged.header("content-type"), unchanged.header("etag")), ("", etag));
        describes_itself(&unchanged);
    }

    yima.event(&lab, &person.test("t-2", "positive", HOUR));
    let changed = ask(&yima, &session, etag);
    assert_eq!(changed.json(200)["colour"]["code"], "red");
    assert_ne!(changed.header("etag"), etag);
    describes_itself(&changed);
}

#[test]
fn a_tag_that_we_did_not_give_this_person_is_no_tag() {
    let yima = shared();
    let (person, stranger, lab) = (new_person(), new_person(), yima.agency_token("lab-7"));
    for someone in [&person, &stranger] {
        yima.event(&lab, &someone.test("t-1", "negative", HOUR));
    }
    let session = yima.session_of(&person);
    let etag = yima.display(&session).header("etag").to_owned();
    let theirs = yima.display(&yima.session_of(&stranger)).header("etag").to_owned();
    // A higher version, claimed: the first bytes are the version's.
    let later = etag.replacen("\"A", "\"_", 1);
    assert_ne!(later, etag);
    let cut = format!("{}\"", &etag[..10]);
    for forged in [later.as_str(), &theirs, &cut, "\"\"", "\"x", "nonsense", "\"你好\""] {
        let reply = ask(&yima, &session, forged);
        assert_eq!((reply.status, reply.header("etag")), (200, etag.as_str()), "{forged}");
    }
}
