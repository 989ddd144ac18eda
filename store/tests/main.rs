//! The embedded engine: the conformance suite and its own counter-checks, restarts, kills and what reaches the disk before what is said.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod child;
mod conformance;
mod failure;
mod fixture;
mod fsync;
mod import;
mod kill;
mod measure;
mod reopen;
mod wrong;
