//! Takes events from agencies, folds them into views and publishes the changes.

pub mod app;
pub mod config;
pub mod fold;
pub mod follow;
pub mod ingest;
mod routes;

pub use routes::router;
