//! The frame of every yima process: settings, lifecycle, readiness, HTTP, limits, tokens, telemetry, admin port.

pub mod admin;
pub mod clock;
pub mod config;
pub mod disk_space;
pub mod http;
pub mod jwt;
pub mod levels;
pub mod lifecycle;
pub mod oidc;
pub mod open_files;
pub mod operator_file;
pub mod pem;
pub mod rate_limit;
pub mod ready;
mod redacted_serde;
pub mod telemetry;
pub mod utilization;
pub mod waiting_room;
pub mod watched_file;
