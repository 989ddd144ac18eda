//! Takes events from agencies, folds them into views and publishes the changes.
//!
//! An event goes one way, from POST to publish:
//!
//! 1. `routes/` authenticates the agency, takes a permit of the in-flight limit and reads the body.
//! 2. `decode/` splits the body into rows: JSON, NDJSON, CSV, FHIR resource or Bundle.
//! 3. `intake/` takes the rows in batches, paced by the agency's rate limit. A task of its own decodes a batch (each
//!    row with `decode/`) and commits its events.
//! 4. [`fold`] appends the events, derives the views and publishes the changes.
//! 5. `answer/` renders the result of each row as JSON, NDJSON or FHIR.
//!
//! Beside it, [`follow`] folds events of other regions and of dead writers by their marks, and [`jobs`] scan all
//! subjects (refold, filling the index of resources, reconcile, rebuild), retire regions and release offline bundles. [`hints`] tell read
//! services what was published.

mod admission;
mod agencies;
mod agency_shares;
mod answer;
pub mod app;
mod backoff;
mod bounded_labels;
pub mod config;
mod dead_letters;
pub mod decode;
pub mod fold;
pub mod follow;
pub mod hints;
mod intake;
pub mod jobs;
mod metrics;
mod moves;
mod operator_file;
mod routes;

pub use self::metrics::METRICS;
pub use decode::openapi;
pub use intake::Replayed;
pub use jobs::{Rate, offline_bundle, rebuild, reconcile, refold, rejoin, resource_index, retire};
pub use operator_file::{OperatorFileError, OperatorFiles};
pub use routes::router;
