//! Takes events from agencies, folds them into views and publishes the changes.

pub mod app;
pub mod config;
pub mod fold;
pub mod follow;
mod full_scan;
pub mod ingest;
pub mod rebuild;
pub mod reconcile;
pub mod refold;
mod routes;

pub use full_scan::Rate;
pub use routes::router;
