//! How any process of ours runs: configuration, lifecycle, readiness, HTTP, limits, tokens, telemetry, admin port.

pub mod admin;
pub mod clock;
pub mod config;
mod expected;
pub mod http;
pub mod jwt;
pub mod lifecycle;
pub mod load;
pub mod open_files;
pub mod pem;
pub mod rate;
pub mod ready;
pub mod room;
pub mod telemetry;
