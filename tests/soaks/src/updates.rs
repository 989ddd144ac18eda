//! All views change while 64 phones read them, in one process on the embedded store: every answer keeps the promises.

use std::time::{Duration, Instant};

use yima_harness::Yima;
use yima_harness::checker::{Clients, Workload, options, people, quiesce};

/// Laboratories that each send an event about every person, and phones.
const WORKLOAD: Workload = Workload { senders: 4, events_each: 1, batch: 500, readers: 64, pause: Duration::ZERO };

/// Runs with this many people.
pub(crate) fn run(count: usize) {
    let yima = Yima::start(options().unlimited().env("YIMA_WRITER__EVENTS__REQUESTS", 10_000_000));
    let people = people(&yima, count);
    let agency = yima.agency_token("lab-7");
    let nodes = |url| vec![(0, url)];
    let clients = Clients::new(people, agency, nodes(yima.writer_url()), nodes(yima.read_url()), &["here"]);
    let start = Instant::now();
    let record = clients.run(WORKLOAD, || ());
    let took = start.elapsed().as_secs_f64();
    let (sent, shown) = (record.acknowledged.len(), record.shown.len());
    assert_eq!(sent, WORKLOAD.senders * WORKLOAD.events_each * count, "{} events have no answer", record.unknown.len());
    report!(
        "{count} people, {sent} events acknowledged and {shown} answers in {took:.0} s, {} refused",
        record.refused
    );
    let record = quiesce(&clients, record);
    report!("all {} answers keep the promises, and in the end every event is shown", record.shown.len());
}
