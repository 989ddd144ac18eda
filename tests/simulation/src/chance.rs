//! Chance: one generator for the whole of a run, seeded by the run's seed. A run has one thread, so this, like the
//! world's clocks and weather, belongs to the thread.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    static TRACE: Cell<u64> = const { Cell::new(0) };
}

/// Begins a run. What the product draws itself (jitter of its waits) follows the seed too.
pub fn begin(seed: u64) {
    STATE.set(seed);
    TRACE.set(0);
    fastrand::seed(seed);
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    mix(state)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `n`; 0 for 0.
pub fn below(n: u64) -> u64 {
    if n < 2 { 0 } else { next() % n }
}

/// A number of a range, both ends included.
pub fn between(least: u64, most: u64) -> u64 {
    least + below(most - least + 1)
}

/// True once in `n` times; never for 0.
pub fn one_in(n: u64) -> bool {
    n > 0 && below(n) == 0
}

/// One of these.
///
/// # Panics
/// Without any.
pub fn pick<T: Copy>(of: &[T]) -> T {
    of[below(of.len() as u64) as usize]
}

/// Adds what happened to the trace of the run: two runs of one seed have one trace.
pub fn note(what: u64) {
    TRACE.set(mix(TRACE.get() ^ what));
}

/// The trace so far.
pub fn trace() -> u64 {
    TRACE.get()
}
