//! Freshness tokens on read nodes of their own, which poll: in the region of the event and in another one.

use std::time::{Duration, Instant};

use serde_json::json;
use yima_harness::{Region, Reply, Yima, new_person};
use yima_schema::time::HOUR;

use crate::cql::cluster;

fn display(yima: &Yima, session: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("yima-at-least-as-fresh", token)];
    yima.http().get_with(&format!("{}/v1/display", yima.read_url()), &headers).expect("a whole answer")
}

#[test]
fn an_answer_to_a_token_is_never_older_in_any_region() {
    let cluster = cluster();
    let base = yima_harness::checker::options().env("YIMA_READ_API__CACHE__POLL_MS", 200);
    let xian = Region::new(&cluster, 1, "xian", "freshness_tokens", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "freshness_tokens", base);
    let (writer, _other_writer) = (xian.writer(&[]), chengdu.writer(&[]));
    let readers = [xian.reader(&[]), chengdu.reader(&[])];
    let (lab, person) = (writer.agency_token("lab-7"), new_person());
    let sessions = [0, 1].map(|n: usize| readers[n].session_of(&person));
    let (mut answers, mut waited) = ([0, 0], Duration::ZERO);
    for round in 0..40 {
        let expected = if round % 2 == 0 { "positive" } else { "negative" };
        let mut event = person.test("t-1", expected, HOUR);
        event["revision"] = round.into();
        let answer = writer.push(&lab, "application/json", event.to_string().as_bytes()).json(200);
        assert_eq!(answer["status"], "accepted");
        let token = answer["freshness"].as_str().expect("a token");
        for (n, reader) in readers.iter().enumerate() {
            let asked = Instant::now();
            let reply = display(reader, &sessions[n], token);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            waited = waited.max(asked.elapsed());
            match reply.status {
                200 => {
                    assert_eq!(reply.json(200)["tests"][0]["result"], json!(expected), "region {n}, round {round}");
                    answers[n] += 1;
                }
                // Only where the event has to arrive first.
                503 if n == 1 => assert!(reply.text().contains("being-updated"), "{}", reply.text()),
                status => panic!("{status} in region {n}: {}", reply.text()),
            }
        }
    }
    eprintln!("{answers:?} of 40 answered, at most {waited:?}");
    assert!(answers[0] == 40 && answers[1] >= 20, "{answers:?}");
}
