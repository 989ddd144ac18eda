//! Jobs over all subjects: a full scan with persisted progress, and what it drives: refold, reconcile, rebuild.

mod full_scan;
pub mod rebuild;
pub mod reconcile;
pub mod refold;

pub use full_scan::Rate;
