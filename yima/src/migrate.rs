//! `yima migrate`: creates the missing keys, keyspaces and tables and registers the region.

use std::io::Write;
use std::path::Path;

use yima_service::clock::now;
use yima_store::cql::{CqlOptions, Step, migrate, migrate_alone};

use crate::cli::{Engine, Options, Replication};
use crate::config::{Config, Role};
use crate::error::CommandError;

/// Migrates and prints each step in a line.
///
/// # Errors
/// Settings, keys, or the database.
pub fn run(options: &Options, replication: Option<Replication>, alone: bool) -> Result<(), CommandError> {
    if matches!(options.store, Some(Engine::Embedded)) {
        return Err(CommandError::Usage(
            "--store embedded: the embedded store creates its tables itself; `yima migrate` is for the CQL store"
                .into(),
        ));
    }
    let config = Config::load(options.config.as_deref(), Role::Writer)?;
    let settings = config.cql()?;
    if replication.as_ref().is_some_and(|Replication(replicas)| !replicas.contains_key(&settings.datacenter)) {
        let local = &settings.datacenter;
        return Err(CommandError::Usage(format!("--replication: expected store.cql.datacenter, {local}, among them")));
    }
    let keys = config.keys(&options.data_dir);
    keys.create(false)?;
    let settings = CqlOptions { pseudonym_fingerprint: keys.pseudonyms()?.fingerprint(), ..settings };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let replication = replication.map(|r| r.0);
    let steps = runtime.block_on(async {
        match alone {
            false => migrate(&settings, replication, now()).await,
            true => migrate_alone(&settings, replication, now()).await,
        }
    })?;
    let mut lines: Vec<String> = steps.iter().map(describe).collect();
    if lines.is_empty() {
        lines.push("nothing to do".into());
    }
    if alone {
        lines.push("left for later: run `yima migrate` in each region that was down, when it is back".into());
    }
    let written = lines.iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}"));
    written.map_err(|e| CommandError::file(Path::new("standard output"), &e))
}

/// Describes a step for the operator.
pub fn describe(step: &Step) -> String {
    match step {
        Step::Keyspace(keyspace, replicas) => {
            let replicas: Vec<String> = replicas.iter().map(|(name, count)| format!("{name}={count}")).collect();
            format!("created the keyspace {keyspace} with replicas {}", replicas.join(","))
        }
        Step::Applied(keyspace, number, name) => format!("applied migration {number} ({name}) to {keyspace}"),
        Step::Registered => "registered the region".into(),
    }
}
