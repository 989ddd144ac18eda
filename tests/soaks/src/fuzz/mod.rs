//! Fuzzing of the readers of what comes from outside: mutated inputs of a kept corpus, by a seed. A fault is a panic,
//! an input that is slow or takes much memory, and a broken property of [`mod@readers`]; its input is written to the
//! corpus, all of which is read again at the start of each run.
//!
//! The mutations are blind: they do not see which code an input has reached. Guidance by coverage (libFuzzer, AFL, and
//! the crates around them) needs the sanitizers of a nightly compiler.

mod agreement;
mod codes;
mod corpus;
mod duplicates;
mod events;
mod foreign;
mod foreign_agreement;
mod json;
mod mutation;
mod readers;
#[cfg(test)]
mod tests;
mod tokens;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(crate) use self::agreement::agree;
pub(crate) use self::corpus::Corpus;
pub(crate) use self::foreign_agreement::agree_about_foreign;
use self::mutation::Mutator;
use self::readers::{Outcome, Reader, readers};

/// One for each core of the machines that it is made for.
const THREADS: usize = 2;
/// An input that takes longer is a fault, in a build with assertions.
const SLOW: Duration = Duration::from_millis(500);
/// An input that takes longer is a fault that cannot be waited for: the process ends.
const HANGS: Duration = Duration::from_secs(30);
/// Memory that any input may take, and for each of its bytes: a number of a JSON list is two bytes as text, and 32 as a
/// value, in a list that has grown by doubling.
const FREE_BYTES: u64 = 1024 * 1024;
const BYTES_PER_BYTE: u64 = 100;
/// Faults of one reader after which the next one is tried.
const MOST_FAULTS: usize = 10;

/// What came of the inputs of one reader.
#[derive(Default)]
struct Tally {
    read: u64,
    accepted: u64,
    slowest: Duration,
    most_bytes: u64,
    faults: Vec<Fault>,
}

/// A fault, and the input that shows it.
struct Fault {
    what: String,
    input: Vec<u8>,
}

/// Reads as many `inputs`, all readers together; a `seed` repeats them. Returns the number of faults.
pub(crate) fn run(inputs: u64, seed: u64, corpus: &Corpus) -> usize {
    report!("seed {seed}");
    let readers = readers(corpus);
    let (start, mut faults) = (Instant::now(), 0);
    let of_each = inputs.div_ceil(readers.len() as u64);
    for (index, reader) in (0..).zip(&readers) {
        let inputs = corpus.inputs(reader.name);
        assert!(!inputs.is_empty(), "{}: the corpus has no input", reader.name);
        let begun = Instant::now();
        let tally = fuzz(reader, &inputs, of_each, seed ^ (index << 56));
        report!(
            "{}: {} inputs, {:.0} /s, {:.1} % accepted, slowest {:.1} ms, at most {:.2} MB, {} faults",
            reader.name,
            tally.read,
            tally.read as f64 / begun.elapsed().as_secs_f64(),
            100.0 * tally.accepted as f64 / tally.read as f64,
            tally.slowest.as_secs_f64() * 1e3,
            tally.most_bytes as f64 / 1e6,
            tally.faults.len()
        );
        for Fault { what, input } in &tally.faults {
            report!("{}: {what}: {}", reader.name, corpus.keep(reader.name, input).display());
        }
        faults += tally.faults.len();
    }
    report!("{of_each} inputs of each reader in {:.0} s, {faults} faults", start.elapsed().as_secs_f64());
    faults
}

/// The inputs of the corpus as they are, then mutated ones.
fn fuzz(reader: &Reader, corpus: &[Vec<u8>], inputs: u64, seed: u64) -> Tally {
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let under_way = [(); THREADS].map(|()| Mutex::new(None));
    std::thread::scope(|scope| {
        let work = |slot: &Mutex<Option<(Instant, Vec<u8>)>>| {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= inputs.max(corpus.len() as u64) || tally.lock().faults.len() >= MOST_FAULTS {
                    return;
                }
                let kept = usize::try_from(n).ok().and_then(|n| corpus.get(n));
                let mutated = || Mutator::new(seed, n, corpus).input(reader.encoding);
                let input = kept.cloned().unwrap_or_else(mutated);
                *slot.lock() = Some((Instant::now(), input.clone()));
                read(reader, input, &tally);
                *slot.lock() = None;
            }
        };
        let workers: Vec<_> = under_way.iter().map(|slot| scope.spawn(move || work(slot))).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
            for slot in &under_way {
                let Some((_, input)) = slot.lock().take_if(|(begun, _)| begun.elapsed() > HANGS) else { continue };
                report!("{}: an input hangs: {}", reader.name, Corpus::kept().keep(reader.name, &input).display());
                std::process::exit(1);
            }
        }
    });
    tally.into_inner()
}

/// Reads one input.
fn read(reader: &Reader, input: Vec<u8>, tally: &Mutex<Tally>) {
    let begun = Instant::now();
    let (outcome, bytes) = measured(reader, &input);
    let mut took = begun.elapsed();
    // Another process may have had the core.
    for _ in 0..3 {
        if took > SLOW {
            let begun = Instant::now();
            let _the_same = measured(reader, &input);
            took = took.min(begun.elapsed());
        }
    }
    let most = FREE_BYTES + BYTES_PER_BYTE * input.len() as u64;
    let what = match &outcome {
        Err(broken) => Some(broken.clone()),
        Ok(_) if took > SLOW => Some(format!("{} ms", took.as_millis())),
        Ok(_) if bytes > most => Some(format!("{bytes} bytes of memory for {} bytes", input.len())),
        Ok(_) => None,
    };
    let mut tally = tally.lock();
    tally.read += 1;
    tally.accepted += u64::from(outcome == Ok(Outcome::Accepted));
    tally.slowest = tally.slowest.max(took);
    tally.most_bytes = tally.most_bytes.max(bytes);
    tally.faults.extend(what.map(|what| Fault { what, input }));
}

/// The outcome, or the broken property; and the most memory that it took, in bytes.
fn measured(reader: &Reader, input: &[u8]) -> (Result<Outcome, String>, u64) {
    let mut outcome = Ok(Outcome::Refused);
    let memory = allocation_counter::measure(|| {
        let read = catch_unwind(AssertUnwindSafe(|| (reader.read)(input)));
        outcome = read.unwrap_or_else(|_| Err("a panic".into()));
    });
    (outcome, memory.bytes_max)
}
