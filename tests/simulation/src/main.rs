//! Runs seeds of the simulation: `simulation FROM TO [RESULTS]`, or `simulation replay SEED`. Each seed that ends is a
//! line of the file of results; a run over the same seeds goes on where the last one stopped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use yima_simulation::{Report, Setting, run};

const SETTING: Setting = Setting { engine: None, seconds: 60, look_every_ms: 1, database_clocks: true };
const REPORT_EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    match (arguments.first().map(String::as_str), number(0), number(1)) {
        (Some("replay"), _, Some(seed)) => replay(seed),
        (_, Some(from), Some(to)) if from < to => {
            let results = arguments.get(2).map_or_else(|| PathBuf::from("target/simulation.txt"), PathBuf::from);
            Seeds::open(from, to, results).run()
        }
        _ => {
            say("expected FROM TO [RESULTS], or replay SEED");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn replay(seed: u64) -> ExitCode {
    let report = run(seed, SETTING);
    say(&format!("seed {seed}: {report:#?}"));
    if report.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

struct Seeds {
    to: u64,
    next: AtomicU64,
    stop: AtomicBool,
    /// Pairs by seed, of this run and of those before.
    done: Mutex<BTreeMap<u64, u64>>,
    results: Mutex<File>,
    began: Instant,
    counted: AtomicU64,
    reported: Mutex<Instant>,
}

impl Seeds {
    fn open(from: u64, to: u64, path: PathBuf) -> Self {
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        let pairs = |line: &str| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        let done = known.lines().filter_map(pairs).collect();
        let results = OpenOptions::new().create(true).append(true).open(&path);
        Self {
            to,
            next: AtomicU64::new(from),
            stop: AtomicBool::new(false),
            done: Mutex::new(done),
            results: Mutex::new(results.unwrap_or_else(|error| panic!("{}: {error}", path.display()))),
            began: Instant::now(),
            counted: AtomicU64::new(0),
            reported: Mutex::new(Instant::now()),
        }
    }

    fn run(&self) -> ExitCode {
        scope(|scope| {
            for _ in 0..available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| self.run_next());
            }
        });
        self.report();
        if self.stop.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn run_next(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.to {
                return;
            }
            if !self.done.lock().contains_key(&seed) {
                self.note(seed, &run(seed, SETTING));
            }
        }
    }

    fn note(&self, seed: u64, report: &Report) {
        if let Some(violation) = &report.violation {
            say(&format!("seed {seed}: {violation}\nagain: simulation replay {seed}"));
            self.stop.store(true, Ordering::Relaxed);
            return;
        }
        let Report { pairs, answers, acknowledged, faults, trace, violation: _ } = report;
        let line = format!("{seed} {pairs} {answers} {acknowledged} {faults} {trace:016x}\n");
        self.results.lock().write_all(line.as_bytes()).unwrap_or_else(|error| panic!("the results: {error}"));
        self.done.lock().insert(seed, *pairs);
        self.counted.fetch_add(*pairs, Ordering::Relaxed);
        let is_due = self.reported.lock().elapsed() > REPORT_EVERY;
        if is_due {
            *self.reported.lock() = Instant::now();
            self.report();
        }
    }

    fn report(&self) {
        let (counted, seconds) = (self.counted.load(Ordering::Relaxed), self.began.elapsed().as_secs_f64());
        let done = self.done.lock();
        let all: u64 = done.values().sum();
        say(&format!(
            "{all} pairs in {} seeds; in this run {counted} in {seconds:.0} s, {:.0} pairs/s",
            done.len(),
            counted as f64 / seconds.max(0.001),
        ));
    }
}
