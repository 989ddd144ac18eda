//! A disk that fills up: events are refused before a write fails; and when one fails, nothing acknowledged is lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Person, Reply, Tmpfs, Yima, new_person, until};
use yima_schema::time::{HOUR, Time};

use crate::refusals::problem;

const MIB: u64 = 1 << 20;
/// Time for a change to be detected; the process measures the disk once a second.
const DETECTED: Duration = Duration::from_secs(30);

fn start(mib: usize, min_free: u64) -> (Arc<Tmpfs>, Yima) {
    let options = Options::default().unlimited();
    let disk = Arc::new(Tmpfs::mount(&options.data_dir(), mib));
    let options = options.on_disk(&disk).env("YIMA_STORE__MIN_FREE_BYTES", min_free);
    // A request that waits for the store gets its answer before the client's own timeout.
    (disk, Yima::start(options.env("YIMA_WRITER__HTTP__REQUEST_TIMEOUT_MS", 2_000)))
}

fn send(yima: &Yima, lab: &str, event: &Value) -> Reply {
    yima.push(lab, "application/json", event.to_string().as_bytes())
}

fn ready(yima: &Yima) -> Value {
    yima.http().get(&format!("{}/health/ready", yima.admin_url()), "").json(200)
}

/// Waits for a display that is true of a moment after this call.
#[track_caller]
fn wait_for_fresh_display(yima: &Yima, session: &str) {
    let since = yima_harness::now();
    until("a fresh display", DETECTED, || {
        yima.display_now(session).header("yima-as-of").parse::<Time>().is_ok_and(|as_of| as_of > since)
    });
}

#[test]
fn as_root_events_are_refused_while_disk_space_is_low_and_accepted_afterwards() {
    let (disk, mut yima) = start(200, 64 * MIB);
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    assert_eq!(yima.event(&lab, &person.test("t-1", "negative", HOUR * 2)), "accepted");
    let session = yima.session_of(&person);
    assert!(yima.metric("data_dir_free_bytes", &[]) > 64.0 * MIB as f64);
    assert_eq!(yima.metric("data_dir_total_bytes", &[]), 200.0 * MIB as f64);

    disk.fill_leaving(48 * MIB);
    let event = person.test("t-2", "positive", HOUR);
    until("low disk space in the metrics", DETECTED, || yima.metric("data_dir_free_bytes", &[]) < 64.0 * MIB as f64);
    until("low disk space in the readiness", DETECTED, || ready(&yima)["degraded"] == json!(["disk"]));
    assert_eq!(yima.metric("data_dir_space_low", &[]), 1.0);
    let refused = send(&yima, &lab, &event);
    problem(&refused, 503, "no-room");
    assert_eq!(refused.header("retry-after"), "30");
    let rows = yima.rows(&lab, &[event.clone(), person.event("x", "nonsense", "", json!({}))]);
    assert_eq!(rows[0]["problem"]["type"], "https://yima.dev/problems/no-room");
    assert_eq!(rows[1]["problem"]["type"], "https://yima.dev/problems/invalid");
    let counted = |status: &str| yima.metric("events_total", &[&format!("status=\"{status}\"")]);
    assert_eq!(["accepted", "not_taken", "rejected"].map(counted), [1.0, 2.0, 1.0]);
    wait_for_fresh_display(&yima, &session);
    assert_eq!(yima.shown(&session).0, "green");

    disk.remove_filler();
    until("enough disk space", DETECTED, || ready(&yima)["degraded"].is_null());
    assert_eq!(yima.metric("data_dir_space_low", &[]), 0.0);
    assert_eq!(yima.event(&lab, &event), "accepted", "the refused event was stored");
    assert_eq!(yima.shown(&session).0, "red");
    let log = yima.stderr();
    assert!(
        log.contains("disk space of the data directory is low")
            && log.contains("disk space of the data directory is sufficient again"),
        "{log}"
    );
    assert_eq!(yima.stop().code(), Some(0), "{}", yima.stderr());
}

#[test]
fn as_root_a_full_disk_loses_nothing_acknowledged() {
    let (disk, mut yima) = start(100, 0);
    let lab = yima.agency_token("lab-7");
    let mut acknowledged: Vec<(Person, Value)> = Vec::new();
    let mut next = |yima: &Yima| {
        let (person, n) = (new_person(), acknowledged.len());
        let event = person.test(&format!("t-{n}"), "positive", HOUR);
        let reply = send(yima, &lab, &event);
        if reply.status == 200 {
            acknowledged.push((person, event));
        }
        reply
    };
    for _ in 0..20 {
        next(&yima).json(200);
    }
    disk.fill_leaving(0);
    let failed = loop {
        let reply = next(&yima);
        if reply.status != 200 {
            break reply;
        }
    };
    problem(&failed, 503, "unavailable");
    let session = yima.session_of(&acknowledged[0].0);
    until("a failed write", DETECTED, || {
        yima.metric("store_takes_writes", &[]) == 0.0 && yima.stderr().contains("a write failed")
    });
    assert_eq!(ready(&yima)["degraded"], json!(["store"]));
    wait_for_fresh_display(&yima, &session);
    assert_eq!(yima.shown(&session).0, "red");

    disk.remove_filler();
    let refused = send(&yima, &lab, &new_person().test("t-x", "positive", HOUR));
    problem(&refused, 503, "unavailable");
    yima.restart();
    assert_eq!(yima.metric("store_takes_writes", &[]), 1.0);
    for (person, event) in &acknowledged {
        assert_eq!(yima.event(&lab, event), "duplicate", "{event} was acknowledged");
        assert_eq!(yima.shown(&yima.session_of(person)).0, "red");
    }
    assert_eq!(yima.event(&lab, &new_person().test("t-y", "positive", HOUR)), "accepted");
}
