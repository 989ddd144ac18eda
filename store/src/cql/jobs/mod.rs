//! Jobs over all subjects: the full scan with its persisted progress, and the steps of a rebuild around it.

mod living_writers;
mod progress;
pub(in crate::cql) mod rebuild;
mod subject_scan;
