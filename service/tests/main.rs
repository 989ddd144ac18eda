//! A server over real sockets: its refusals, the failures that it survives, and how it stops.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod config;
mod heads;
mod levels;
mod limits;
mod places;
mod problems;
mod stopping;
mod support;
mod tokens;
mod traces;
