//! Takes events from agencies, folds them into views and publishes the changes.

pub mod app;
pub mod config;
pub mod fold;
pub mod follow;
pub mod ingest;
pub mod rebuild;
pub mod reconcile;
pub mod refold;
mod routes;
mod scan;

pub use routes::router;
pub use scan::Rate;
