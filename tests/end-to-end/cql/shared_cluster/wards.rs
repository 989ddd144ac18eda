//! Guardianships on services of their own: redeemed at one node, shown at another, ended at a third place.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Region, new_person, until};
use yima_schema::time::HOUR;

use crate::cql::cluster;
use crate::wards::Citizen;

#[test]
fn a_guardianship_is_known_to_every_node_and_one_invitation_makes_one_guardian() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "wards", yima_harness::checker::options());
    let writer = region.writer(&[]);
    let writers = format!("[{:?}]", writer.writer_url().strip_prefix("http://").expect("plain HTTP"));
    let readers = [(); 2].map(|()| region.reader(&[("YIMA_READ_API__WRITERS", &writers)]));
    let [parent, child, other] = [(); 3].map(|()| new_person());
    for person in [&parent, &child, &other] {
        assert_eq!(writer.event(&writer.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
    }
    let parents = Citizen::new(&readers[0], &parent);
    until("the parent's view", Duration::from_secs(10), || parents.send("GET", "/v1/display", None).0 == 200);
    let invitation = parents.invite();
    let (status, redeemed) = Citizen::new(&readers[1], &child).redeem(&invitation);
    assert_eq!(status, 201, "{redeemed}");
    // At the other node at once, by the token of the event; the same person again changes nothing, another one is late.
    let at_other = Citizen::new(&readers[0], &child).for_ward(&redeemed);
    let freshness = redeemed["freshness"].as_str().expect("a token");
    assert_eq!(at_other.send_with("GET", "/v1/display", &[("yima-at-least-as-fresh", freshness)]).0, 200);
    assert_eq!(Citizen::new(&readers[0], &child).redeem(&invitation).0, 200);
    let (status, problem) = Citizen::new(&readers[0], &other).redeem(&invitation);
    assert_eq!((status, &problem["type"]), (409, &json!("https://yima.dev/problems/invitation-over")));
    until("the list at the other node", Duration::from_secs(10), || {
        let (_, listed) = Citizen::new(&readers[0], &child).send("GET", "/v1/wards", None);
        listed["wards"].as_array().is_some_and(|wards| wards.len() == 1)
    });
    let (_, guardians) = parents.send("GET", "/v1/guardians", None);
    let handle = guardians["guardians"][0]["guardian"].as_str().expect("a handle");
    assert_eq!(parents.send("DELETE", &format!("/v1/guardians/{handle}"), None).0, 204);
    assert_eq!(at_other.send("GET", "/v1/code", None).0, 403, "at once where it was ended");
    let elsewhere = Citizen::new(&readers[1], &child).for_ward(&redeemed);
    until("the end at the other node", Duration::from_secs(10), || elsewhere.send("GET", "/v1/code", None).0 == 403);
}
