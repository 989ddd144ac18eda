//! Rates, medians and percentiles.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// The result of repeated work.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// Processor time of this process for each item: the client's, without the server's.
    pub(crate) cpu_us: f64,
}

/// Runs `work` for each number below `count`, `in_flight` at a time; each run counts as `items`.
pub(crate) async fn rate<W: Future<Output = ()> + Send>(
    count: usize,
    items: usize,
    in_flight: usize,
    work: impl Fn(usize) -> W + Send + Sync + 'static,
) -> Rate {
    let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let (start, cpu) = (Instant::now(), cpu());
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (work, next) = (Arc::clone(&work), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                work(n).await;
            }
        });
    }
    tasks.join_all().await;
    let items = (count * items) as f64;
    Rate { per_second: items / start.elapsed().as_secs_f64(), cpu_us: (self::cpu() - cpu).as_secs_f64() * 1e6 / items }
}

/// Processor time of this process, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // User and system time are fields 14 and 15; field 2, the name, ends with the last parenthesis.
    let fields = stat.rsplit(')').next().expect("a name in parentheses").split_whitespace().skip(11).take(2);
    Duration::from_millis(10) * fields.map(|ticks| ticks.parse::<u32>().expect("ticks")).sum::<u32>()
}

/// The rounds of one contestant.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Rate>);

impl Rounds {
    pub(crate) fn add(&mut self, rate: Rate) {
        self.0.push(rate);
    }

    /// The median of each figure.
    pub(crate) fn median(&self) -> Rate {
        let of = |figure: fn(&Rate) -> f64| percentile(&mut self.0.iter().map(figure).collect::<Vec<_>>(), 50);
        Rate { per_second: of(|r| r.per_second), cpu_us: of(|r| r.cpu_us) }
    }
}

/// Prints each contestant's medians, and the ratio to the first.
pub(crate) fn report_medians(what: &str, contestants: &[(&str, &Rounds)]) {
    let first = contestants[0].1.median().per_second;
    for (name, rounds) in contestants {
        let Rate { per_second, cpu_us } = rounds.median();
        let ratio = per_second / first;
        report!("{name}: {per_second:.0} {what}/s, {cpu_us:.0} µs of this process's CPU each, ratio {ratio:.2}");
    }
}

/// Sorts the values and returns a percentile.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

/// Prints percentiles of durations.
pub(crate) fn report_times(what: &str, mut ms: Vec<f64>) {
    let [p50, p99, worst] = [50, 99, 100].map(|percent| percentile(&mut ms, percent));
    report!("{what}: p50 {p50:.0} ms, p99 {p99:.0} ms, worst {worst:.0} ms of {}", ms.len());
}
