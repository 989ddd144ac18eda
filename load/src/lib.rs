//! The load generator of `yima load`. It sends an open loop of requests: they arrive when the schedule says so, whether
//! the service answers or not, and their times count from then. A generator that waits for answers before it asks again
//! omits just those requests that a stall would have hit (coordinated omission).
//!
//! Data goes one way: [`Mix`] (the file) → `schedule` (arrivals) → `worker` (a thread with connections; `requests`
//! are its bytes, `answer` reads what comes) → `figures` → [`Report`].

mod answer;
mod class;
mod connection;
mod estimate;
mod exchange;
mod figures;
mod mix;
mod phase;
mod replay;
mod report;
mod requests;
mod run;
mod schedule;
mod section;
mod text;
mod timer;
mod usage;
mod worker;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

pub use class::Class;
pub use estimate::{Assumptions, Estimate};
pub use figures::Failure;
pub use mix::{MAX_PEOPLE, Mix, Source, Who};
pub use report::{ClassReport, Percentiles, PhaseReport, Report};
pub use requests::People;
pub use run::run;
pub use usage::Usage;

/// Why a run did not begin or has no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The mix file has these faults.
    #[error("the mix file is refused:\n  {}", .0.join("\n  "))]
    Mix(Vec<String>),
    /// A class without people to send its requests.
    #[error("{}: nobody to send its requests: [people] has no session, token or demo person for them", .0.name())]
    Nobody(Class),
    /// A service cannot be connected to.
    #[error("a service of [target] does not answer: {0}")]
    Connect(#[source] io::Error),
    /// The system refuses what the generator needs.
    #[error("the system refuses: {0}")]
    System(#[source] io::Error),
}

impl LoadError {
    /// A file cannot be read.
    pub fn file(path: &Path, why: &dyn Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}
