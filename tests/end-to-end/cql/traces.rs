//! Traces over a writer and a read node that are processes of their own.

use yima_harness::{Collector, Options, Region};

use super::cluster;
use crate::traces::{CQL, journey};

#[test]
fn an_event_and_a_read_can_be_followed_over_processes() {
    let (collector, cluster) = (Collector::start(), cluster());
    let region = Region::new(&cluster, 1, "xian", "traces", Options::default());
    let writer = region.writer(&collector.env("writer"));
    let reader = region.reader(&collector.env("read-api"));
    journey(&collector, region.options(), &writer, &reader, &CQL);
}
