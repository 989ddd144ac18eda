//! Deterministic simulation: the product's cache, follower and folds over models of both engines, under a simulated
//! network, simulated clocks and disks, with every answer checked. See `docs/simulation.md`.

mod chance;
mod clock;
mod cql;
mod embedded;
mod network;
mod oracle;
#[cfg(test)]
mod tests;
mod world;

#[cfg(test)]
use world::on_paused_time;
pub use world::{Engine, Report, Setting, run};
