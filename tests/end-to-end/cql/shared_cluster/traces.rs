//! Traces across a writer and a read node as processes of their own.

use yima_harness::{Collector, Options, Region};

use crate::cql::cluster;
use crate::traces::{CQL, assert_traces};

#[test]
fn an_event_and_a_read_are_traced_across_processes() {
    let (collector, cluster) = (Collector::start(), cluster());
    let region = Region::new(&cluster, 1, "xian", "traces", Options::default());
    let writer = region.writer(&collector.env("writer"));
    let reader = region.reader(&collector.env("read-api"));
    assert_traces(&collector, region.options(), &writer, &reader, &CQL);
}
