//! The check at start that the database has the tables that this program knows, for this region and pseudonym key.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;
use yima_schema::cql::{Migration, REGION, SHARED};

use super::region_row::region_row;
use crate::cql::CqlOptions;
use crate::cql::error::from_driver;
use crate::cql::outcome::rows;
use crate::{Result, StoreError};

/// Name of the table of applied migrations, in errors.
pub(super) const MIGRATIONS: &str = "migrations";

/// The region's identity, as the registry of regions has it.
pub(in crate::cql) struct Identity {
    /// See [`crate::WriterStore::epoch`].
    pub(in crate::cql) epoch: u16,
}

/// Both keyspaces with their migrations.
pub(in crate::cql) fn keyspaces(options: &CqlOptions) -> [(String, &'static [Migration]); 2] {
    [(options.keyspace.clone(), SHARED), (options.region_keyspace(), REGION)]
}

/// Replicas by datacenter; `None` if there is no such keyspace.
pub(in crate::cql) fn replication(session: &Session, keyspace: &str) -> Option<BTreeMap<String, usize>> {
    let state = session.get_cluster_state();
    match &state.get_keyspace(keyspace)?.strategy {
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            let replicas = datacenter_repfactors.iter().filter(|(_, replicas)| **replicas > 0);
            Some(replicas.map(|(name, replicas)| (name.clone(), *replicas)).collect())
        }
        Strategy::SimpleStrategy { .. } | Strategy::LocalStrategy | Strategy::Other { .. } | _ => Some(BTreeMap::new()),
    }
}

/// A keyspace's replicas in this region's datacenter.
///
/// # Errors
/// `Rejected` if there are none: a region's data has to be near it.
pub(super) fn replicas_here(keyspace: &str, replicas: &BTreeMap<String, usize>, options: &CqlOptions) -> Result<usize> {
    match replicas.get(&options.datacenter) {
        Some(here) => Ok(*here),
        None => Err(StoreError::Rejected(format!(
            "the keyspace {keyspace} has no replicas in datacenter {} (store.cql.datacenter): alter its replication, \
             then repair it",
            options.datacenter
        ))),
    }
}

/// Checks the database against the options: replication, migrations, and the region's row.
///
/// # Errors
/// `Rejected`, with what to do: a keyspace is missing or has too few replicas, its schema is older or newer than this
/// program, the region is not registered or belongs to another datacenter or pseudonym key.
pub(in crate::cql) async fn check(session: &Session, options: &CqlOptions) -> Result<Identity> {
    check_name(options)?;
    for (keyspace, known) in keyspaces(options) {
        let replicas = replication(session, &keyspace).ok_or_else(|| {
            StoreError::Rejected(format!(
                "the keyspace {keyspace} does not exist: run `yima migrate` (store.cql.keyspace, region.name)"
            ))
        })?;
        let here = replicas_here(&keyspace, &replicas, options)?;
        if here < options.min_replicas as usize {
            return Err(StoreError::Rejected(format!(
                "the keyspace {keyspace} has {here} replicas in datacenter {} and store.cql.min_replicas asks for {}: \
                 with fewer, losing a node loses data",
                options.datacenter, options.min_replicas
            )));
        }
        check_migrated(session, &(keyspace, known)).await?;
    }
    region(session, options).await
}

/// Checks that a keyspace has the migrations that this program knows.
pub(in crate::cql) async fn check_migrated(
    session: &Session,
    (keyspace, known): &(String, &'static [Migration]),
) -> Result<()> {
    let wanted = known.len() as u32;
    let found = applied_migrations(session, keyspace).await?.into_iter().max().unwrap_or(0);
    if found == wanted {
        return Ok(());
    }
    let advice = if found < wanted { "run `yima migrate`" } else { "use a newer program" };
    Err(StoreError::Rejected(format!(
        "the schema of keyspace {keyspace} is at migration {found} and this program wants {wanted}: {advice}"
    )))
}

/// Checks the names: a region's name is part of keyspaces' names and of header fields.
pub(in crate::cql) fn check_name(options: &CqlOptions) -> Result<()> {
    for (setting, name) in [("region.name", &options.region), ("store.cql.keyspace", &options.keyspace)] {
        let fits = (1..=20).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            return Err(StoreError::Rejected(format!(
                "{setting}: expected 1 to 20 lower-case letters, digits and _, with a letter first"
            )));
        }
    }
    Ok(())
}

/// Numbers of the migrations applied to a keyspace; none if it has no such table.
pub(super) async fn applied_migrations(session: &Session, keyspace: &str) -> Result<Vec<u32>> {
    let state = session.get_cluster_state();
    if state.get_keyspace(keyspace).is_none_or(|k| !k.tables.contains_key(MIGRATIONS)) {
        return Ok(Vec::new());
    }
    let text = format!("SELECT number FROM {keyspace}.{MIGRATIONS} WHERE keyspace_name = ? AND number > 0");
    let found = session.query_unpaged(text, (keyspace,)).await.map_err(|e| from_driver(MIGRATIONS, &e))?;
    let corrupt = || StoreError::Corrupt { table: MIGRATIONS, what: "a number".into() };
    let rows = rows(MIGRATIONS, found)?;
    let numbers = rows.rows::<(i32,)>().map_err(|_| corrupt())?;
    numbers.map(|row| row.map(|(number,)| number.unsigned_abs()).map_err(|_| corrupt())).collect()
}

/// Reads and checks this region's row.
async fn region(session: &Session, options: &CqlOptions) -> Result<Identity> {
    let region = &options.region;
    let Some(row) = region_row(session, &options.keyspace, region).await? else {
        return Err(StoreError::Rejected(format!(
            "the region {region} is not registered: run `yima migrate` (region.name)"
        )));
    };
    row.check(options)?;
    let epoch =
        u16::try_from(row.epoch).map_err(|_| StoreError::Corrupt { table: "regions", what: "an epoch".into() })?;
    Ok(Identity { epoch })
}
