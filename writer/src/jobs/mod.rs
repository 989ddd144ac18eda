//! Jobs over all subjects: the full scan with persisted progress, and the jobs that use it (refold, filling the index
//! of resources, reconcile, rebuild).

mod full_scan;
pub mod rebuild;
pub mod reconcile;
pub mod refold;
pub mod resource_index;

pub use full_scan::Rate;
