//! A run: threads that send, and readings of the service's metrics between phases.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::LoadError;
use crate::class::Class;
use crate::estimate::{Estimate, Measured};
use crate::exchange;
use crate::figures::Record;
use crate::mix::{Mix, Traffic};
use crate::phase::{Phase, Rate};
use crate::report::{PhaseReport, Report};
use crate::requests::{People, Requests};
use crate::schedule::Schedule;
use crate::usage::Usage;
use crate::worker::Worker;

/// Runs a mix with these people.
///
/// # Errors
/// Nobody is there for one of its classes, a service cannot be connected to, or the system refuses.
pub fn run(mix: &Mix, people: People, threads: usize, seed: u64) -> Result<Report, LoadError> {
    if let Some(class) = Class::ALL.into_iter().find(|class| mix.has(*class) && is_nobody(&people, *class)) {
        return Err(LoadError::Nobody(class));
    }
    let people = Arc::new(people);
    let phases = phases(mix);
    // All threads are connected before the first sends.
    let (ready, start, failed) = (Barrier::new(threads + 1), OnceLock::new(), AtomicBool::new(false));
    let began = || *start.get_or_init(Instant::now);
    let (results, used) = thread::scope(|scope| {
        let spawn = |thread| {
            let (people, ready, began, failed) = (Arc::clone(&people), &ready, &began, &failed);
            scope.spawn(move || {
                let prepared = prepare(mix, people, seed, thread, threads);
                failed.fetch_or(prepared.is_err(), Ordering::SeqCst);
                ready.wait();
                let (mut worker, first_codes) = prepared?;
                if failed.load(Ordering::SeqCst) {
                    return Ok((Record::default(), 0));
                }
                worker.run(began()).map_err(LoadError::System)?;
                Ok((worker.record, first_codes))
            })
        };
        let running: Vec<_> = (0..threads).map(spawn).collect();
        ready.wait();
        let used = if failed.load(Ordering::SeqCst) { Vec::new() } else { watch(mix, &phases, began()) };
        let joined = running.into_iter().map(|thread| thread.join().expect("a panic has ended the process already"));
        (joined.collect::<Result<Vec<_>, LoadError>>(), used)
    });
    let (mut record, mut first_codes) = (Record::default(), 0);
    for (of_thread, codes) in results? {
        record.add(&of_thread);
        first_codes += codes;
    }
    Ok(report(mix, &phases, &mut record, used, (threads, seed, first_codes)))
}

fn is_nobody(people: &People, class: Class) -> bool {
    people.of(class).is_empty() || class == Class::Upload && people.documents.is_empty()
}

/// The phases of the run; a log is one.
fn phases(mix: &Mix) -> Vec<Phase> {
    match &mix.traffic {
        Traffic::Phases { phases, .. } => phases.clone(),
        Traffic::Log { log, speed } => {
            let last = log.requests.last().map_or(Duration::ZERO, |logged| logged.at.div_f64(*speed));
            let length = last.max(Duration::from_millis(1));
            let rate = log.requests.len() as f64 / length.as_secs_f64();
            vec![Phase { name: "log".into(), length, rate: Rate::Ramp { from: rate, to: rate }, warm_up: false }]
        }
    }
}

fn prepare(
    mix: &Mix,
    people: Arc<People>,
    seed: u64,
    thread: usize,
    threads: usize,
) -> Result<(Worker<'_>, u64), LoadError> {
    let connecting = |error: io::Error| LoadError::Connect(error);
    let mut requests = Requests::new(mix, people, seed, thread, threads);
    let first_codes =
        if mix.has(Class::Scan) { exchange::first_codes(&mix.read, &mut requests).map_err(connecting)? } else { 0 };
    let schedule = Schedule::new(&mix.traffic, seed, thread, threads);
    Ok((Worker::new(mix, schedule, requests, threads).map_err(connecting)?, first_codes))
}

/// What the service used in each phase: its metrics are read at the phase's beginning and end.
fn watch(mix: &Mix, phases: &[Phase], start: Instant) -> Vec<Option<Usage>> {
    let Some(admin) = &mix.admin else { return vec![None; phases.len()] };
    let (mut at, mut before) = (start, Usage::read(admin));
    let mut used = Vec::new();
    for phase in phases {
        at += phase.length;
        // A measurement at a moment, not a wait for something to happen.
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = Usage::read(admin);
        used.push(now.zip(before).map(|(now, before)| now.since(before)));
        before = now;
    }
    used
}

fn report(
    mix: &Mix,
    phases: &[Phase],
    record: &mut Record,
    used: Vec<Option<Usage>>,
    (threads, seed, first_codes): (usize, u64, u64),
) -> Report {
    record.0.resize_with(phases.len(), Default::default);
    let zipped = phases.iter().zip(&record.0).zip(used);
    let phases: Vec<_> =
        zipped.map(|((phase, figures), used)| PhaseReport::new(phase, figures, mix.connections, used)).collect();
    let counted = phases.iter().filter(|phase| !phase.warm_up && phase.used.is_some());
    let largest = counted.max_by_key(|phase| phase.all.admitted.count);
    let estimate = largest.and_then(|phase| {
        let (answers, bytes) = (phase.all.admitted.count as f64, phase.all.bytes_received as f64);
        Estimate::new(mix.assumptions, &Measured { answers, bytes, used: phase.used? })
    });
    let left_out = match &mix.traffic {
        Traffic::Phases { .. } => 0,
        Traffic::Log { log, .. } => log.left_out,
    };
    Report { seed, threads, connections: mix.connections, first_codes, left_out, phases, estimate }
}
