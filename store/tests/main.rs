//! The embedded engine: the conformance suite and its counter-checks, restarts, kills, and the order of
//! sync and acknowledgement.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod child;
mod conformance;
mod duplicates;
mod failure;
mod fixture;
mod fsync;
mod import;
mod kill;
mod measure;
mod reopen;
mod wrong;
