//! How many people a deployment serves, from what a run used and what is assumed of the people.

use std::fmt;

use serde::Serialize;

use crate::section::Section;
use crate::usage::Usage;

/// The estimate takes the size of a view from the growth of resident memory if a phase loads this many views or more.
const ENOUGH_VIEWS: f64 = 20_000.0;
/// A view in memory and a subject on disk, in bytes, where the run does not tell (docs/performance.md).
const BYTES_PER_VIEW: f64 = 1_500.0;
const BYTES_ON_DISK: f64 = 500.0;

/// What is assumed: section `[estimate]` of a mix file.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Assumptions {
    /// Everyone registered.
    pub people: f64,
    /// Requests of one person on an ordinary day, of all classes together.
    pub requests_per_day: f64,
    /// Share of a day's requests in its busiest hour.
    pub peak_hour_share: f64,
    /// A crowd asks so many times as much as that hour.
    pub crowd: f64,
    /// Cores of one node that are the service's own.
    pub node_cores: f64,
    /// Highest share of them that is planned to be busy.
    pub utilization: f64,
    /// Nodes that may be away.
    pub spare_nodes: f64,
}

/// The figures of one phase that an estimate is made from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Measured {
    pub(crate) answers: f64,
    pub(crate) bytes: f64,
    pub(crate) used: Usage,
}

/// An estimate. [`fmt::Display`] says how each figure was made.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Estimate {
    /// What it rests on.
    pub assumptions: Assumptions,
    /// Requests a second in the busiest hour.
    pub peak_per_s: f64,
    /// The same of a crowd.
    pub crowd_per_s: f64,
    /// Processor time of one request of this mix, in microseconds.
    pub cpu_us_per_request: f64,
    /// Requests a second of one node at the planned utilization.
    pub node_per_s: f64,
    /// People whose crowd one node serves.
    pub people_per_node: f64,
    /// Cores for the crowd of all people, at the planned utilization.
    pub cores: f64,
    /// Nodes, with the spare ones.
    pub nodes: f64,
    /// Megabits a second of answers to the crowd, without TLS and TCP.
    pub megabits_per_s: f64,
    /// Bytes of a view in memory.
    pub bytes_per_view: f64,
    /// Whether that was measured in this run.
    pub view_is_measured: bool,
    /// Gigabytes for the views of all people, in the memory of a node that keeps them all.
    pub memory_gb: f64,
    /// Gigabytes of a node's disk tier with all people.
    pub disk_gb: f64,
    /// Lookups of the store a second for the crowd, as warm as the run was.
    pub store_lookups_per_s: f64,
}

impl Assumptions {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let mut number = |key, range, default| section.number(key, range).unwrap_or(default);
        let assumptions = Self {
            people: number("people", 1.0..=1e10, 13_000_000.0),
            requests_per_day: number("requests_per_day", 0.001..=1e5, 10.0),
            peak_hour_share: number("peak_hour_share", 0.01..=1.0, 0.15),
            crowd: number("crowd", 1.0..=1_000.0, 10.0),
            node_cores: number("node_cores", 0.1..=1_024.0, 2.0),
            utilization: number("utilization", 0.05..=1.0, 0.5),
            spare_nodes: number("spare_nodes", 0.0..=1_000.0, 1.0),
        };
        section.end("people, requests_per_day, peak_hour_share, crowd, node_cores, utilization and spare_nodes");
        assumptions
    }
}

impl Estimate {
    /// The estimate; `None` if nothing was answered or no processor time was counted.
    pub(crate) fn new(assumptions: Assumptions, measured: &Measured) -> Option<Self> {
        let Assumptions { people, requests_per_day, peak_hour_share, crowd, node_cores, utilization, spare_nodes } =
            assumptions;
        let Measured { answers, bytes, used } = *measured;
        if answers < 1.0 || used.cpu_s <= 0.0 {
            return None;
        }
        let peak_per_s = people * requests_per_day * peak_hour_share / 3_600.0;
        let crowd_per_s = peak_per_s * crowd;
        let cpu_us_per_request = used.cpu_s * 1e6 / answers;
        let node_per_s = node_cores * utilization * 1e6 / cpu_us_per_request;
        let view_is_measured = used.views_growth >= ENOUGH_VIEWS && used.resident_growth_bytes > 0.0;
        let bytes_per_view =
            if view_is_measured { used.resident_growth_bytes / used.views_growth } else { BYTES_PER_VIEW };
        Some(Self {
            assumptions,
            peak_per_s,
            crowd_per_s,
            cpu_us_per_request,
            node_per_s,
            people_per_node: people * node_per_s / crowd_per_s,
            cores: crowd_per_s / node_per_s * node_cores,
            nodes: (crowd_per_s / node_per_s).ceil() + spare_nodes,
            megabits_per_s: crowd_per_s * bytes / answers * 8.0 / 1e6,
            bytes_per_view,
            view_is_measured,
            memory_gb: people * bytes_per_view / 1e9,
            disk_gb: people * BYTES_ON_DISK / 1e9,
            store_lookups_per_s: crowd_per_s * used.store_lookups / answers,
        })
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assumptions: a, .. } = self;
        let view = if self.view_is_measured { "measured" } else { "not measured in this run" };
        writeln!(
            f,
            "  demand      {:.0} people x {} requests a day, {:.0} % in the busiest hour: {:.0}/s; a crowd of \
             {} times: {:.0}/s",
            a.people,
            a.requests_per_day,
            a.peak_hour_share * 100.0,
            self.peak_per_s,
            a.crowd,
            self.crowd_per_s
        )?;
        writeln!(
            f,
            "  a node      {} cores, busy to {:.0} %, at {:.1} us of processor time a request: {:.0}/s, the crowd of \
             {:.0} people",
            a.node_cores,
            a.utilization * 100.0,
            self.cpu_us_per_request,
            self.node_per_s,
            self.people_per_node
        )?;
        writeln!(
            f,
            "  all people  {:.1} cores, {:.0} nodes with {} to spare; answers {:.0} Mbit/s",
            self.cores, self.nodes, a.spare_nodes, self.megabits_per_s
        )?;
        writeln!(
            f,
            "  memory      {:.1} GB for every view at {:.0} bytes ({view}); disk tier {:.1} GB",
            self.memory_gb, self.bytes_per_view, self.disk_gb
        )?;
        writeln!(
            f,
            "  database    {:.0} lookups/s for the crowd, as warm as this run was; {:.0} in all from cold",
            self.store_lookups_per_s, a.people
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSUMPTIONS: Assumptions = Assumptions {
        people: 12_000_000.0,
        requests_per_day: 10.0,
        peak_hour_share: 0.15,
        crowd: 10.0,
        node_cores: 2.0,
        utilization: 0.5,
        spare_nodes: 1.0,
    };

    #[test]
    fn an_estimate_follows_from_processor_time_and_demand() {
        let used = Usage { cpu_s: 2.0, store_lookups: 1_000.0, views_growth: 100.0, ..Usage::default() };
        let measured = Measured { answers: 100_000.0, bytes: 80_000_000.0, used };
        let estimate = Estimate::new(ASSUMPTIONS, &measured).unwrap();
        assert_eq!((estimate.peak_per_s, estimate.crowd_per_s), (5_000.0, 50_000.0));
        // 20 µs a request: two cores, half busy, are 50,000 a second.
        assert_eq!((estimate.cpu_us_per_request, estimate.node_per_s), (20.0, 50_000.0));
        assert_eq!((estimate.people_per_node, estimate.cores, estimate.nodes), (12_000_000.0, 2.0, 2.0));
        assert_eq!((estimate.megabits_per_s, estimate.store_lookups_per_s), (320.0, 500.0));
        assert_eq!((estimate.bytes_per_view, estimate.view_is_measured, estimate.memory_gb), (1_500.0, false, 18.0));
        let grown = Usage { views_growth: 50_000.0, resident_growth_bytes: 1e8, ..used };
        let estimate = Estimate::new(ASSUMPTIONS, &Measured { used: grown, ..measured }).unwrap();
        assert_eq!((estimate.bytes_per_view, estimate.view_is_measured), (2_000.0, true));
        assert!(estimate.to_string().contains("2.0 cores, 2 nodes with 1 to spare"), "{estimate}");
        assert!(Estimate::new(ASSUMPTIONS, &Measured { answers: 0.0, ..measured }).is_none());
    }
}
