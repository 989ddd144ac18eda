//! What the service used for a phase, by the metrics of its admin port.

use serde::Serialize;

use crate::exchange;
use crate::mix::Target;

/// A reading of the metrics that matter here; or the difference of two of them, where they count.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize)]
pub struct Usage {
    /// Processor time, in seconds.
    pub cpu_s: f64,
    /// Views that were loaded from the store.
    pub store_lookups: f64,
    /// Lookups of views.
    pub lookups: f64,
    /// Resident memory, in bytes, at the end.
    pub resident_bytes: f64,
    /// Views in memory, at the end.
    pub views: f64,
    /// Growth of the resident memory.
    pub resident_growth_bytes: f64,
    /// Views that came into memory.
    pub views_growth: f64,
}

impl Usage {
    /// Reads them; `None` when the admin port does not answer, which is no reason to end a run.
    pub(crate) fn read(target: &Target) -> Option<Self> {
        exchange::metrics(target).ok().map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let sum = |name: &str, label: &str| -> f64 {
            let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
            let ours = samples.filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'));
            ours.filter(|(labels, _)| labels.contains(label)).filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
        };
        let loaded = ["miss", "bypass"]
            .map(|outcome| sum("cache_requests_total", &format!("module=\"view\",outcome=\"{outcome}\"")));
        let refreshed = sum("cache_loads_total", "module=\"view\",outcome=\"revalidated\"");
        Self {
            cpu_s: sum("process_cpu_seconds_total", ""),
            store_lookups: loaded.iter().sum::<f64>() + refreshed,
            lookups: sum("cache_requests_total", "module=\"view\""),
            resident_bytes: sum("process_resident_memory_bytes", ""),
            views: sum("cache_memory_entries", "module=\"view\""),
            ..Self::default()
        }
    }

    /// What was used since an earlier reading.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            store_lookups: self.store_lookups - before.store_lookups,
            lookups: self.lookups - before.lookups,
            resident_growth_bytes: self.resident_bytes - before.resident_bytes,
            views_growth: self.views - before.views,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_the_difference_of_two_readings() {
        let text = |cpu: f64, hits: u32, misses: u32, views: u32| {
            Usage::parse(&format!(
                "# HELP process_cpu_seconds_total CPU time\nprocess_cpu_seconds_total {cpu}\n\
                 process_cpu_seconds_total_more 7\nprocess_resident_memory_bytes 1000\n\
                 cache_requests_total{{module=\"view\",outcome=\"hit_memory\"}} {hits}\n\
                 cache_requests_total{{module=\"view\",outcome=\"miss\"}} {misses}\n\
                 cache_requests_total{{module=\"code\",outcome=\"hit_memory\"}} 50\n\
                 cache_memory_entries{{module=\"view\"}} {views}\ncache_memory_entries{{module=\"code\"}} 9\n"
            ))
        };
        let used = text(3.5, 110, 12, 40).since(text(1.5, 10, 2, 30));
        assert_eq!((used.cpu_s, used.store_lookups, used.lookups), (2.0, 10.0, 110.0));
        assert_eq!((used.views, used.views_growth, used.resident_bytes), (40.0, 10.0, 1000.0));
    }
}
