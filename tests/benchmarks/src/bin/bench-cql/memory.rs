//! The memory of a region's services, as processes of their own: after their start, and after many events.

use std::sync::Arc;
use std::time::Duration;

use yima_harness::{Cluster, Options, Region, Yima, new_person};

/// Events of one upload.
const ROWS: usize = 5_000;

/// Measures with this many uploads.
pub(crate) fn memory(cluster: &Arc<Cluster>, uploads: usize) {
    // The product's default, which the harness' options replace.
    let options = Options::default().env("YIMA_READ_API__CACHE__POLL_MS", 200);
    let region = Region::new(cluster, 1, "xian", "memory", options);
    let (writer, reader) = (region.writer(&[]), region.reader(&[]));
    let services = [("yima writer", &writer), ("yima read-api", &reader)];
    let started = services.map(|(_, service)| resident_megabytes(service));
    let agency = writer.agency_token("lab-1");
    for upload in 0..uploads {
        let rows = (0..ROWS)
            .map(|n| new_person().test(&format!("memory-{upload}-{n}"), "negative", Duration::from_secs(60)))
            .map(|row| format!("{row}\n"));
        let rows = writer.push(&agency, "application/x-ndjson", rows.collect::<String>().as_bytes()).rows();
        assert!(rows.len() == ROWS && rows.iter().all(|row| row["status"] == "accepted"));
    }
    let events = uploads * ROWS;
    for ((name, service), started) in services.into_iter().zip(started) {
        let now = resident_megabytes(service);
        report!("{name}: {started:.0} MB resident after its start, {now:.0} MB after {events} events");
    }
}

fn resident_megabytes(service: &Yima) -> f64 {
    service.metric("process_resident_memory_bytes", &[]) / 1e6
}
