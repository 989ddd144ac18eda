//! Jobs: the full scan over all subjects with persisted progress, and the jobs that use it (refold, filling the index
//! of resources, reconcile, rebuild); beside them a region's retirement and return, and the release of offline bundles.

mod full_scan;
pub mod offline_bundle;
pub mod rebuild;
pub mod reconcile;
pub mod refold;
pub mod rejoin;
pub mod resource_index;
pub mod retire;

pub use full_scan::Rate;
