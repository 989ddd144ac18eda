//! A server of ours over real sockets: what it refuses, what it survives, and how it stops.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admin;
mod config;
mod limits;
mod problems;
mod stopping;
mod support;
mod tokens;
mod traces;
