//! By which codes of other systems are judged: the trust list and the acceptance rules, files that the operator may
//! replace while a read node runs.

use std::path::Path;
use std::sync::Arc;

use metrics::gauge;
use yima_foreign::trust::Fault;
use yima_foreign::{AcceptanceRules, TrustList};
use yima_schema::time::Time;
use yima_service::config::{ConfigError, ConfigErrors};
use yima_service::lifecycle::Lifecycle;
use yima_service::operator_file::{OperatorFile, OperatorFileError};
use yima_store::{AuditLog, record_reload};

use crate::config::ForeignConfig;

/// Largest file, in bytes. 20,000 certificates of the EU's size are 15 MB.
const MAX_FILE: u64 = 32 << 20;

// Their names in labels and in the audit log.
const TRUST_LIST: &str = "trust_list";
const ACCEPTANCE: &str = "acceptance";

/// The files of a read service.
pub struct ForeignFiles {
    /// `read_api.foreign.trust_list_file`.
    pub(crate) trust_list: Arc<OperatorFile<TrustList>>,
    /// `read_api.foreign.acceptance_file`.
    pub(crate) acceptance: Arc<OperatorFile<AcceptanceRules>>,
}

impl ForeignFiles {
    /// Reads both; waits for the file system.
    ///
    /// # Errors
    /// The first file with errors.
    pub fn load(config: &ForeignConfig) -> Result<Self, OperatorFileError> {
        let (trust_list, acceptance) = (config.trust_list_file.clone(), config.acceptance_file.clone());
        let accepted = |file| gauge!("read_api_file_accepted", "file" => file);
        let setting = "read_api.foreign.trust_list_file";
        let trust_list = OperatorFile::load(setting, accepted(TRUST_LIST), trust_list, |path| {
            path.map_or_else(|| Ok(TrustList::default()), |path| read(path, TrustList::parse))
        })?;
        let setting = "read_api.foreign.acceptance_file";
        let acceptance = OperatorFile::load(setting, accepted(ACCEPTANCE), acceptance, |path| {
            path.map_or_else(|| Ok(AcceptanceRules::built_in()), |path| read(path, AcceptanceRules::parse))
        })?;
        Ok(Self { trust_list, acceptance })
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
        lifecycle.spawn_until_stop("trust list", self.trust_list.clone().watch(record(TRUST_LIST)));
        lifecycle.spawn_until_stop("acceptance rules", self.acceptance.clone().watch(record(ACCEPTANCE)));
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> Result<T, Vec<Fault>>) -> Result<T, ConfigErrors> {
    let source = path.display().to_string();
    let error = |key: String, expected: String| ConfigError { key, source: source.clone(), expected };
    let of_file = |expected: &str| ConfigErrors(vec![error(String::new(), expected.to_owned())]);
    let metadata = std::fs::metadata(path).map_err(|_| of_file("expected a file that can be read"))?;
    if metadata.len() > MAX_FILE {
        return Err(of_file("expected at most 32 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|_| of_file("expected a file that can be read, in UTF-8"))?;
    let errors =
        |faults: Vec<Fault>| faults.into_iter().map(|Fault { place, expected }| error(place, expected)).collect();
    parse(&text).map_err(|faults| ConfigErrors(errors(faults)))
}
