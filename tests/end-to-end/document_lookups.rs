//! Look-ups of people by identity document: what others can learn from their answers, and the audit log.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yima_harness::{Options, Person, Reply, Yima, new_person};
use yima_schema::time::HOUR;

use crate::backup;

/// A session of a checkpoint that may look people up.
fn guard(yima: &Yima, name: &str) -> String {
    let token = yima.token(&["checkpoint", "--name", name, "--look-up-documents"]);
    let reply = yima.http().post(&format!("{}/v1/sessions", yima.read_url()), &token, "", b"");
    reply.json(200)["session"].as_str().expect("a session").to_owned()
}

fn look_up(yima: &Yima, guard: &str, person: &Person) -> Reply {
    let body = json!({ "document_type": "cn_resident_id", "document_number": person.document }).to_string();
    let bearer = format!("Bearer {guard}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("accept-encoding", "gzip")];
    let url = format!("{}/v1/scan", yima.read_url());
    yima.http().send("POST", &url, &headers, Some(body.as_bytes())).expect("a whole answer")
}

/// The records of the audit log of that kind.
fn audited(yima: &Yima, kind: &str) -> Vec<Value> {
    let reply = yima.http().get(&format!("{}/audit", yima.admin_url()), "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.rows().into_iter().filter(|record| record["kind"] == kind).collect()
}

#[test]
fn answers_about_known_and_unknown_people_are_alike_from_outside() {
    let yima = Yima::start(Options::default());
    let (known, unknown, lab) = (new_person(), new_person(), yima.agency_token("lab-7"));
    for n in 0..3 {
        yima.event(&lab, &known.test(&format!("t-{n}"), "negative", HOUR * (n + 1)));
    }
    let guard = guard(&yima, "gate-1");
    let answers = [&known, &unknown, &known, &unknown].map(|person| {
        let started = Instant::now();
        let reply = look_up(&yima, &guard, person);
        assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply
    });
    assert_ne!(answers[0].json(200)["reason"], answers[1].json(200)["reason"]);
    for reply in &answers {
        assert_eq!(reply.body.len(), answers[0].body.len());
        let shape = |reply: &Reply| {
            let mut fields: Vec<_> =
                reply.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().len())).collect();
            fields.sort();
            // A moment without milliseconds is shorter, and seconds of two digits are longer.
            fields.retain(|(name, _)| !["yima-as-of", "age", "ratelimit", "retry-after"].contains(&name.as_str()));
            fields
        };
        assert_eq!(shape(reply), shape(&answers[0]));
    }
}

#[test]
fn look_ups_and_operators_actions_are_in_the_audit_log_without_any_person() {
    let mut yima = Yima::start(Options::default());
    let people = [new_person(), new_person(), new_person()];
    let (busy, quiet) = (guard(&yima, "gate-busy"), guard(&yima, "gate-quiet"));
    for person in &people {
        assert_eq!(look_up(&yima, &busy, person).status, 200);
    }
    look_up(&yima, &quiet, &people[0]);
    let file = yima.options().directory().join("backup");
    let arguments = ["backup".into(), file.clone().into_os_string()];
    yima.options().print(&[&arguments[..], &backup::key(yima.options())].concat());
    // A minute is reported at its end, and at the stop.
    yima.stop();
    yima.restart();
    let mut lookups = audited(&yima, "document_lookups");
    lookups.sort_by_key(|record| record["checkpoint"].to_string());
    let counts: Vec<_> = lookups.iter().map(|record| (&record["checkpoint"], &record["asked"])).collect();
    assert_eq!(counts, [(&json!("gate-busy"), &json!(3)), (&json!("gate-quiet"), &json!(1))]);
    assert_eq!(audited(&yima, "operator_action")[0]["action"], "backup");
    let all = yima.http().get(&format!("{}/audit?since=2026-01-01T00:00:00Z", yima.admin_url()), "");
    let log = yima.stderr();
    for person in &people {
        assert!(!all.text().contains(&person.document) && !log.contains(&person.document));
    }
    assert_eq!(yima.http().get(&format!("{}/audit?since=yesterday", yima.admin_url()), "").status, 400);

    // Records survive a restore, which adds its own.
    let fresh = Options::default();
    let backed_up = yima.options().directory().join("later");
    yima.options().print(&[&["backup".into(), backed_up.clone().into_os_string()][..], &backup::key(&fresh)].concat());
    fresh.print(&[&["restore".into(), backed_up.into_os_string()][..], &backup::key(&fresh)].concat());
    let restored = Yima::start(fresh);
    assert_eq!(audited(&restored, "document_lookups").len(), 2);
    let actions = audited(&restored, "operator_action");
    assert_eq!(actions.iter().map(|record| &record["action"]).collect::<Vec<_>>(), ["backup", "restore"]);
}
