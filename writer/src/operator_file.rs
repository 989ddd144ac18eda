//! The files that the operator may replace while a writer runs.

use std::sync::Arc;

use yima_schema::time::Time;
use yima_service::lifecycle::Lifecycle;
use yima_service::operator_file::OperatorFile;
pub use yima_service::operator_file::OperatorFileError;
use yima_store::{AuditLog, record_reload};

use crate::agencies::Agencies;
use crate::config::WriterConfig;
use crate::decode::codes::Codes;

/// The files of a writer.
#[derive(Clone)]
pub struct OperatorFiles {
    /// `writer.codes_file`.
    pub codes: Arc<OperatorFile<Codes>>,
    /// `writer.agencies_file`.
    pub agencies: Arc<OperatorFile<Agencies>>,
}

impl OperatorFiles {
    /// Reads all of them; waits for the file system.
    ///
    /// # Errors
    /// The first file with errors.
    pub fn load(config: &WriterConfig) -> Result<Self, OperatorFileError> {
        let (codes, agencies) = (config.codes_file.clone(), config.agencies_file.clone());
        Ok(Self {
            codes: OperatorFile::load("writer.codes_file", accepted(CODES), codes, Codes::load)?,
            agencies: OperatorFile::load("writer.agencies_file", accepted(AGENCIES), agencies, Agencies::load)?,
        })
    }

    /// Follows their changes until the soft stop, and records them in the audit log.
    pub(crate) fn watch(&self, lifecycle: &Lifecycle, audit_log: &Arc<dyn AuditLog>, clock: fn() -> Time) {
        let record = |file: &'static str| {
            let audit_log = audit_log.clone();
            move |accepted| {
                let audit_log = audit_log.clone();
                async move { record_reload(&*audit_log, file, accepted, clock()).await }
            }
        };
        lifecycle.spawn_until_stop("codes file", self.codes.clone().watch(record(CODES)));
        lifecycle.spawn_until_stop("agencies file", self.agencies.clone().watch(record(AGENCIES)));
    }
}

// Their names in labels and in the audit log.
const CODES: &str = "codes";
const AGENCIES: &str = "agencies";

fn accepted(file: &'static str) -> metrics::Gauge {
    metrics::gauge!("writer_file_accepted", "file" => file)
}
