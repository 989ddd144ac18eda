//! Shows and checks codes: reads only, from a cache whose freshness is proved. Needs of the store no more than looking up views and
//! following changes.

pub mod app;
mod body;
pub mod cache;
pub mod config;
mod etag;
mod fast_path;
mod headers;
mod limiters;
mod routes;
mod verdict;

pub use fast_path::service;
