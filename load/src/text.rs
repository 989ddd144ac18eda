//! The report as text for an operator.

use std::fmt;

use crate::report::{ClassReport, Percentiles, PhaseReport, Report};

/// The generator is said to be late from this on, in milliseconds.
const LATE_MS: f64 = 5.0;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, threads {}, connections {}; times in ms from the moment at which a request was due",
            self.seed, self.threads, self.connections
        )?;
        if self.first_codes > 0 {
            writeln!(f, "before the first phase: {} codes for the first scans", self.first_codes)?;
        }
        if self.left_out > 0 {
            writeln!(f, "left out of the log: {} requests of other routes", self.left_out)?;
        }
        self.phases.iter().try_for_each(|phase| write!(f, "\n{phase}"))?;
        if let Some(estimate) = &self.estimate {
            write!(f, "\nestimate\n{estimate}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PhaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.closed, self.warm_up) {
            (true, _) => ", closed loop",
            (false, true) => ", warm-up",
            (false, false) => "",
        };
        writeln!(f, "{}: {} s{kind}", self.name, self.seconds)?;
        writeln!(
            f,
            "  {:<13}{:>10}{:>12}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "class", "wanted/s", "answered/s", "admitted", "p50", "p90", "p99", "p99.9", "max"
        )?;
        let all = (self.classes.len() > 1).then_some(&self.all);
        for class in self.classes.iter().chain(all) {
            writeln!(
                f,
                "  {:<13}{:>10.0}{:>12.0}{:>9.2}%{}",
                class.class,
                class.wanted_per_s,
                class.answered_per_s,
                100.0 * class.admitted.count as f64 / class.wanted.max(1) as f64,
                times(&class.all)
            )?;
        }
        for class in &self.classes {
            writeln!(f, "  {:<13}{}", class.class, outcomes(class))?;
            if class.refused.count > 0 && class.admitted.count > 0 {
                writeln!(f, "  {:<13}{:>32}{}", "", "admitted", times(&class.admitted))?;
                writeln!(f, "  {:<13}{:>32}{}", "", "refused", times(&class.refused))?;
            }
        }
        let late = &self.all.late;
        if late.p99 >= LATE_MS && !self.closed {
            let why = "no connection was free or the generator was busy";
            writeln!(f, "  sent late: p50 {} ms, p99 {} ms; {why}", short(late.p50), short(late.p99))?;
        }
        if self.closed {
            let Percentiles { p50, p99, .. } = self.all.from_sending;
            writeln!(f, "  from sending, uncorrected: p50 {} ms, p99 {} ms", short(p50), short(p99))?;
        }
        if let Some(used) = &self.used {
            writeln!(
                f,
                "  service: {:.2} cores busy, {:.1} us a request, {:.0} MB resident, {:.0} views in memory, {:.0} \
                 lookups/s in the store",
                used.cpu_s / self.seconds,
                used.cpu_s * 1e6 / self.all.admitted.count.max(1) as f64,
                used.resident_bytes / 1e6,
                used.views,
                used.store_lookups / self.seconds
            )?;
        }
        Ok(())
    }
}

/// Statuses and failures of a class with their counts.
fn outcomes(class: &ClassReport) -> String {
    let statuses = class.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    let failures = class.failures.iter().map(|(failure, count)| format!("{failure}: {count}"));
    statuses.chain(failures).collect::<Vec<_>>().join(", ")
}

fn times(times: &Percentiles) -> String {
    [times.p50, times.p90, times.p99, times.p99_9, times.max].map(|ms| format!("{:>9}", short(ms))).concat()
}

/// About three digits.
fn short(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2}"),
        10.0..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}
