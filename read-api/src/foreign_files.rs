//! By which codes of other systems are judged: trust list, acceptance rules and revocations, files that the operator may
//! replace while a process runs.

use std::path::Path;
use std::sync::Arc;

use metrics::gauge;
use yima_foreign::trust::Fault;
use yima_foreign::{AcceptanceRules, Revocations, TrustList};
use yima_schema::time::Time;
use yima_service::config::{ConfigError, ConfigErrors};
use yima_service::lifecycle::Lifecycle;
use yima_service::operator_file::{OperatorFile, OperatorFileError};
use yima_store::{AuditLog, record_reload};

use crate::config::ForeignConfig;

/// Largest file, in bytes. 20,000 certificates of the EU's size are 15 MB, a million revocations 40 MB.
const MAX_FILE: u64 = 64 << 20;

// Their names in labels and in the audit log.
const TRUST_LIST: &str = "trust_list";
const ACCEPTANCE: &str = "acceptance";
const REVOCATIONS: &str = "revocations";

/// The files of a read service, and of a writer, which puts them into offline bundles.
#[derive(Clone)]
pub struct ForeignFiles {
    /// `read_api.foreign.trust_list_file`.
    pub trust_list: Arc<OperatorFile<TrustList>>,
    /// `read_api.foreign.acceptance_file`.
    pub acceptance: Arc<OperatorFile<AcceptanceRules>>,
    /// `read_api.foreign.revocations_file`.
    pub revocations: Arc<OperatorFile<Revocations>>,
}

impl ForeignFiles {
    /// Reads all of them; waits for the file system.
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
        let setting = "read_api.foreign.revocations_file";
        let revocations =
            OperatorFile::load(setting, accepted(REVOCATIONS), config.revocations_file.clone(), |path| {
                path.map_or_else(|| Ok(Revocations::default()), |path| read(path, Revocations::parse))
            })?;
        Ok(Self { trust_list, acceptance, revocations })
    }

    /// Follows their changes until the soft stop, and records them in the audit log.
    pub fn watch(&self, lifecycle: &Lifecycle, audit_log: &Arc<dyn AuditLog>, clock: fn() -> Time) {
        let record = |file: &'static str| {
            let audit_log = audit_log.clone();
            move |accepted| {
                let audit_log = audit_log.clone();
                async move { record_reload(&*audit_log, file, accepted, clock()).await }
            }
        };
        lifecycle.spawn_until_stop("trust list", self.trust_list.clone().watch(record(TRUST_LIST)));
        lifecycle.spawn_until_stop("acceptance rules", self.acceptance.clone().watch(record(ACCEPTANCE)));
        lifecycle.spawn_until_stop("revocations", self.revocations.clone().watch(record(REVOCATIONS)));
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> Result<T, Vec<Fault>>) -> Result<T, ConfigErrors> {
    let source = path.display().to_string();
    let error = |key: String, expected: String| ConfigError { key, source: source.clone(), expected };
    let of_file = |expected: &str| ConfigErrors(vec![error(String::new(), expected.to_owned())]);
    let metadata = std::fs::metadata(path).map_err(|_| of_file("expected a file that can be read"))?;
    if metadata.len() > MAX_FILE {
        return Err(of_file("expected at most 64 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|_| of_file("expected a file that can be read, in UTF-8"))?;
    let errors =
        |faults: Vec<Fault>| faults.into_iter().map(|Fault { place, expected }| error(place, expected)).collect();
    parse(&text).map_err(|faults| ConfigErrors(errors(faults)))
}
