//! Tests on the shared cluster. Their names follow one another, so that it starts once.

mod auditor;
mod cache_audit;
pub mod clock_skew;
mod conflicting_events;
mod conformance;
mod crashes;
mod disk_space;
mod earlier_rows;
mod event_limit;
mod freshness_tokens;
mod hints;
mod late_and_expired_changes;
mod leases;
mod moves;
mod offline_bundle;
mod rebuild;
mod refold;
mod regions;
mod session_ends;
mod start_refusals;
mod subject_scan;
mod traces;
mod wards;
