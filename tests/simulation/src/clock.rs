//! Clocks: the true time, which is tokio's paused time, and the wall clock of each node, which may be off.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use yima_schema::time::Time;

/// The most nodes of a run.
pub const NODES: usize = 6;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// By how many milliseconds each node's clock is ahead.
    static AHEAD: [Cell<i64>; NODES] = const { [const { Cell::new(0) }; NODES] };
}

/// The product takes its clock as a function, so each node has one of its own.
pub const OF_NODE: [fn() -> Time; NODES] =
    [of_node::<0>, of_node::<1>, of_node::<2>, of_node::<3>, of_node::<4>, of_node::<5>];

fn of_node<const N: usize>() -> Time {
    Time::from_millis(now().as_millis() + ahead(N))
}

/// Begins a run: every clock is right.
pub fn begin() {
    BEGAN.set(Some(Instant::now()));
    (0..NODES).for_each(|node| set_ahead(node, 0));
}

/// Milliseconds since the beginning of the run.
pub fn ms() -> u64 {
    BEGAN.get().map_or(0, |began| began.elapsed().as_millis() as u64)
}

/// The true time.
pub fn now() -> Time {
    Time::from_millis(1_790_000_000_000 + ms() as i64)
}

/// By how many milliseconds a node's clock is ahead.
pub fn ahead(node: usize) -> i64 {
    AHEAD.with(|ahead| ahead[node].get())
}

/// Sets a node's clock.
pub fn set_ahead(node: usize, ms: i64) {
    AHEAD.with(|ahead| ahead[node].set(ms));
}

/// Waits; what is due at the same millisecond comes in the order in which the waits began.
pub async fn wait(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
