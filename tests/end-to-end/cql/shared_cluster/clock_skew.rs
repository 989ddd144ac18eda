//! Clock skew of ten minutes, one process at a time, under the checker.

use std::time::Duration;

use yima_harness::checker::{BOUND, Clients, Workload, options, people, quiesce};
use yima_harness::{Region, Yima, faketime, until};

use crate::cql::cluster;

/// For some comparisons of clocks, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The environment of a process with a skewed wall clock. The monotonic clock, by which programs wait, stays right;
/// Java never wakes with the library's fix for it.
pub fn skewed(offset: &'static str, library: &str) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME", offset.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_FORCE_MONOTONIC_FIX", "0".to_owned()),
    ]
}

pub fn run(
    region: &Region,
    writer_env: &[(&str, &str)],
    reader_env: &[(&str, &str)],
) -> (Clients, yima_harness::checker::Record, Vec<Yima>) {
    let (writers, readers) =
        ([region.writer(writer_env), region.writer(&[])], [region.reader(&[]), region.reader(reader_env)]);
    if !writer_env.is_empty() {
        let waiting_for = || writers[0].http().get(&format!("{}/health/ready", writers[0].admin_url()), "").body;
        until("a writer that is not ready", SOON, || waiting_for() == br#"{"waiting_for":["clock"]}"#);
    }
    let clients = Clients::new(
        people(&readers[0], 20),
        writers[0].agency_token("lab-7"),
        writers.iter().map(|writer| (0, writer.writer_url())).collect(),
        readers.iter().map(|reader| (0, reader.read_url())).collect(),
        &[&region.name],
    );
    let record =
        clients.run(Workload { senders: 2, events_each: 5, batch: 5, readers: 2, pause: Duration::ZERO }, || ());
    // A writer whose clock is behind finds tokens not yet valid; the other writer accepts all rows.
    assert!(record.acknowledged.len() >= 5 * 20, "{} events were acknowledged", record.acknowledged.len());
    (clients, record, writers.into_iter().chain(readers).collect())
}

#[test]
fn services_with_skewed_clocks_keep_every_promise() {
    let cluster = cluster();
    let library = faketime();
    for (n, (offset, is_writer)) in
        [("+600", true), ("-600", true), ("+600", false), ("-600", false)].into_iter().enumerate()
    {
        let region = Region::new(&cluster, 1, "xian", &format!("clocks_{n}"), options());
        let env = skewed(offset, &library);
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let (clients, record, _running) = if is_writer { run(&region, &env, &[]) } else { run(&region, &[], &env) };
        if is_writer {
            quiesce(&clients, record);
        } else {
            // A node whose clock is behind dates its answers ten minutes back: true, but waiting for a
            // later `as_of` would not end.
            record.check(BOUND);
        }
    }
}
