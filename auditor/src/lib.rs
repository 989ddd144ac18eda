//! The outside auditor: learns of changes as they are acknowledged, asks every read node for the display as the person
//! would, and counts how soon the change is there.
//!
//! - `sampler.rs` picks changes and people from the store, `canary.rs` makes changes of its own through the writer's
//!   public port: each gives a [`Fact`], what displays have to show from a moment on (`fact.rs`).
//! - `watch.rs` asks each node about a fact at fixed times; `display.rs` is one such request.
//! - `metrics.rs` counts what came of it.
//!
//! Nothing here names a person: a fact has a subject id, which is neither logged nor a label.

mod canary;
mod config;
mod display;
mod fact;
mod metrics;
mod sampler;
mod watch;

pub use canary::{Canary, CanaryAgency};
pub use config::{AuditConfig, CanaryConfig, MAX_PER_SECOND, NodeConfig};
pub use fact::{Fact, Shows, Source};
pub use metrics::{METRICS, SourceUp};
pub use sampler::{Known, Rates, Sample, Sampler};
pub use watch::{Auditor, SessionKeys};
