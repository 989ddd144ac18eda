//! Ends of sessions on services of their own: read nodes hand them to a writer.

use std::time::Duration;

use yima_harness::{Region, Yima, new_person, until};

use crate::cql::cluster;

fn sign_out(yima: &Yima, path: &str, session: &str) -> u16 {
    let bearer = format!("Bearer {session}");
    let url = format!("{}{path}", yima.read_url());
    yima.http().send("DELETE", &url, &[("authorization", &bearer)], None).expect("a whole answer").status
}

#[test]
fn a_session_that_was_ended_at_one_node_is_refused_by_every_node() {
    let cluster = cluster();
    let region = Region::new(&cluster, 1, "xian", "session_ends", yima_harness::checker::options());
    let mut writer = region.writer(&[]);
    let address = writer.writer_url().strip_prefix("http://").expect("plain HTTP").to_owned();
    let writers = format!("[\"127.0.0.1:1\", {address:?}]");
    let readers = [(); 2].map(|()| region.reader(&[("YIMA_READ_API__WRITERS", &writers)]));
    let person = new_person();
    let [one, other, third] = [0, 1, 0].map(|n: usize| readers[n].session_of(&person));
    for reader in &readers {
        assert_eq!(reader.display_now(&one).status, 200);
    }
    assert_eq!(sign_out(&readers[0], "/v1/sessions/current", &one), 204);
    assert_eq!(readers[0].display_now(&one).status, 401, "at once where it was ended");
    until("the end at the other node", Duration::from_secs(10), || readers[1].display_now(&one).status == 401);
    assert_eq!(readers[1].display_now(&other).status, 200);
    assert_eq!(sign_out(&readers[1], "/v1/sessions", &other), 204);
    for session in [&other, &third] {
        until("the end everywhere", Duration::from_secs(10), || readers[0].display_now(session).status == 401);
    }
    let later = readers[0].session_of(&person);
    writer.kill9();
    assert_eq!(sign_out(&readers[0], "/v1/sessions/current", &later), 503);
    assert_eq!(readers[0].display_now(&later).status, 200);
    assert_eq!(readers[0].display_now(&readers[0].session_of(&person)).status, 200, "signing in goes on");
}
