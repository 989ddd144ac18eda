//! Metrics of the process itself, from Linux's /proc/self. Elsewhere there are none.

use std::fs;

use super::{METRICS, MetricDescription};
use crate::clock::now;
use crate::open_files;

/// Ticks per second in /proc/self/stat (USER_HZ): 100 on every Linux architecture that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sets `process_clock_seconds` and, by Prometheus' usual names, `process_resident_memory_bytes`, `process_open_fds`
/// and `process_max_fds`.
pub(super) fn record() {
    metrics::gauge!("process_clock_seconds").set(now().as_millis() as f64 / 1_000.0);
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
        metrics::gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // Without the descriptor that reads the directory.
        let open = u32::try_from(entries.count().saturating_sub(1)).unwrap_or(u32::MAX);
        metrics::gauge!("process_open_fds").set(open);
    }
    if let Some(allowed) = open_files::allowed() {
        metrics::gauge!("process_max_fds").set(u32::try_from(allowed).unwrap_or(u32::MAX));
    }
}

/// `process_cpu_seconds_total` in Prometheus' text format. The recorder's counters are whole numbers, and whole seconds
/// are too coarse for a rate over a minute; a gauge would be of the wrong type.
pub(super) fn cpu_seconds_total() -> String {
    const NAME: &str = "process_cpu_seconds_total";
    let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) else {
        return String::new();
    };
    let help = METRICS.iter().find(|metric| metric.name == NAME).map_or("", |MetricDescription { help, .. }| *help);
    format!("# HELP {NAME} {help}\n# TYPE {NAME} counter\n{NAME} {seconds}\n\n")
}

/// `VmRSS:   1234 kB`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Fields 14 and 15: ticks in user and kernel mode. The second field, the name, may hold spaces but ends with the last
/// `)`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, kernel): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + kernel) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(resident_bytes("Name:\tyima\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        let stat = "42 (yi ) ma) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }
}
