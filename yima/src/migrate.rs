//! `yima migrate`: makes the keys, keyspaces and tables that are missing and registers the region.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use yima_service::clock::now;
use yima_store::cql::{CqlOptions, Step, migrate};

use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::KeyDir;
use crate::{Engine, Options};

/// Replicas by datacenter, written `dc1=3,dc2=3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replication(BTreeMap<String, usize>);

impl FromStr for Replication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut replicas = BTreeMap::new();
        for part in text.split(',') {
            let pair = part.split_once('=').and_then(|(name, count)| Some((name.trim(), count.trim().parse().ok()?)));
            let (name, count) = pair.filter(|(name, count)| !name.is_empty() && *count > 0).ok_or_else(|| {
                format!("expected datacenters with at least 1 replica each, such as dc1=3,dc2=3, not {part:?}")
            })?;
            if replicas.insert(name.to_owned(), count).is_some() {
                return Err(format!("expected each datacenter once, and {name} is there twice"));
            }
        }
        Ok(Self(replicas))
    }
}

/// Migrates and prints what was done, one step a line.
///
/// # Errors
/// Settings and keys, or what the database refuses.
pub fn run(options: &Options, replication: Option<Replication>) -> Result<(), CommandError> {
    if matches!(options.store, Some(Engine::Embedded)) {
        return Err(CommandError::Usage(
            "--store embedded: it makes its tables by itself; `yima migrate` is for cql".into(),
        ));
    }
    let config = Config::load(options.config.as_deref(), Role::Writer)?;
    let settings = config.cql()?;
    if replication.as_ref().is_some_and(|Replication(replicas)| !replicas.contains_key(&settings.datacenter)) {
        let here = &settings.datacenter;
        return Err(CommandError::Usage(format!("--replication: expected store.cql.datacenter, {here}, among them")));
    }
    let keys = KeyDir::of(&options.data_dir);
    keys.create(false)?;
    let settings = CqlOptions { pseudonym_fingerprint: keys.pseudonyms()?.fingerprint(), ..settings };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CommandError::Usage(format!("the runtime cannot start: {e}")))?;
    let steps = runtime.block_on(migrate(&settings, replication.map(|r| r.0), now()))?;
    let mut lines: Vec<String> = steps.iter().map(in_words).collect();
    if lines.is_empty() {
        lines.push("nothing to do".into());
    }
    let written = lines.iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}"));
    written.map_err(|e| CommandError::file(Path::new("standard output"), &e))
}

/// A step for people.
pub fn in_words(step: &Step) -> String {
    match step {
        Step::Keyspace(keyspace, replicas) => {
            let replicas: Vec<String> = replicas.iter().map(|(name, count)| format!("{name}={count}")).collect();
            format!("made the keyspace {keyspace} with replicas {}", replicas.join(","))
        }
        Step::Applied(keyspace, number, name) => format!("applied migration {number} ({name}) to {keyspace}"),
        Step::Registered => "registered the region".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_read_as_it_is_printed() {
        let read: Replication = "dc1=3, dc2=2".parse().unwrap();
        assert_eq!(read.0, BTreeMap::from([("dc1".to_owned(), 3), ("dc2".to_owned(), 2)]));
        for wrong in ["", "dc1", "dc1=", "dc1=0", "=3", "dc1=3,", "dc1=3,dc1=2", "dc1=-1"] {
            assert!(wrong.parse::<Replication>().is_err(), "{wrong}");
        }
    }
}
