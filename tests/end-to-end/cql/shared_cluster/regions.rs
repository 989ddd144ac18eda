//! Writers and read nodes as processes of their own, in two regions, under the checker.

use std::time::Duration;

use yima_harness::checker::{BOUND, Clients, Workload, converge, patient_options, people, quiesce};
use yima_harness::{Region, Yima, now};
use yima_schema::time::Time;

use crate::cql::cluster;

/// Two writers and two read nodes in one region, one of which gets hints, one of each in a second region, and nine
/// senders of events about the same 200 subjects.
#[test]
fn two_regions_keep_every_promise() {
    let cluster = cluster();
    let base = patient_options();
    let xian = Region::new(&cluster, 1, "xian", "two_regions", base.clone());
    let chengdu = Region::new(&cluster, 2, "chengdu", "two_regions", base);
    let writers = [xian.writer(&[]), xian.writer(&[]), chengdu.writer(&[])];
    let hints = |writers: &[Yima]| {
        let addresses: Vec<_> = writers.iter().map(|w| w.writer_url().replace("http://", "")).collect();
        format!("{addresses:?}")
    };
    let (of_xian, of_chengdu) = (hints(&writers[..2]), hints(&writers[2..]));
    let readers = [
        xian.reader(&[("YIMA_READ_API__WRITERS", &of_xian)]),
        xian.reader(&[]),
        chengdu.reader(&[("YIMA_READ_API__WRITERS", &of_chengdu)]),
    ];
    let regions = [0, 0, 1];
    let clients = Clients::new(
        people(&readers[0], 200),
        writers[0].agency_token("lab-7"),
        writers.iter().zip(regions).map(|(writer, region)| (region, writer.writer_url())).collect(),
        readers.iter().zip(regions).map(|(reader, region)| (region, reader.read_url())).collect(),
        &["xian", "chengdu"],
    );
    let started_at: Time = now();
    let record =
        clients.run(Workload { senders: 9, events_each: 5, batch: 50, readers: 4, pause: Duration::ZERO }, || ());
    assert_eq!(record.acknowledged.len(), 9 * 5 * 200, "an event was not acknowledged");
    eprintln!(
        "{} events acknowledged and {} answers in {:?}",
        record.acknowledged.len(),
        record.shown.len(),
        now().since(started_at)
    );
    let mut record = quiesce(&clients, record);
    converge(&clients, &mut record, Duration::from_secs(60));
    record.check(BOUND);
    let nodes: Vec<&Yima> = writers.iter().chain(&readers).collect();
    crate::dashboard::assert_answered_by(&nodes);
}
