//! Everybody's view changes while 64 phones look, in one process on the embedded store: nothing is shown that is not so.

use std::time::{Duration, Instant};

use yima_harness::Yima;
use yima_harness::checker::{Clients, Load, options, people, settle};

/// Laboratories with an event about everybody each, and phones.
const LOAD: Load = Load { senders: 4, events_each: 1, batch: 500, readers: 64, pause: Duration::ZERO };

/// Runs with so many people.
pub(crate) fn run(count: usize) {
    let yima = Yima::start(options().unlimited().env("YIMA_WRITER__EVENTS__REQUESTS", 10_000_000));
    let everybody = people(&yima, count);
    let agency = yima.agency_token("lab-7");
    let nodes = |url| vec![(0, url)];
    let clients = Clients::new(everybody, agency, nodes(yima.writer_url()), nodes(yima.read_url()), &["here"]);
    let begun = Instant::now();
    let record = clients.run(LOAD, || ());
    let took = begun.elapsed().as_secs_f64();
    let (sent, shown) = (record.acknowledged.len(), record.shown.len());
    assert_eq!(sent, LOAD.senders * LOAD.events_each * count, "{} events have no answer", record.unknown.len());
    report!(
        "{count} people, {sent} events acknowledged and {shown} answers in {took:.0} s, {} refused",
        record.refused
    );
    let record = settle(&clients, record);
    report!("all {} answers hold what is promised, and in the end everything is shown", record.shown.len());
}
