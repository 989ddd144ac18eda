//! Whether the database has the tables that this program knows.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;
use yima_schema::cql::{Migration, REGION, SHARED};

use super::fault::fault;
use super::options::CqlOptions;
use crate::{Result, StoreError};

/// Name of the table of applied migrations, in errors.
pub(super) const MIGRATIONS: &str = "migrations";

/// What a region is called by the registry of regions.
pub(super) struct Identity {
    /// See [`crate::WriterStore::epoch`].
    pub(super) epoch: u16,
}

/// Both keyspaces with their migrations.
pub(super) fn keyspaces(options: &CqlOptions) -> [(String, &'static [Migration]); 2] {
    [(options.keyspace.clone(), SHARED), (options.region_keyspace(), REGION)]
}

/// Replicas by datacenter; `None` if there is no such keyspace.
pub(super) fn replication(session: &Session, keyspace: &str) -> Option<BTreeMap<String, usize>> {
    let state = session.get_cluster_state();
    match &state.get_keyspace(keyspace)?.strategy {
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            Some(datacenter_repfactors.iter().map(|(name, replicas)| (name.clone(), *replicas)).collect())
        }
        Strategy::SimpleStrategy { .. } | Strategy::LocalStrategy | Strategy::Other { .. } | _ => Some(BTreeMap::new()),
    }
}

/// A keyspace's replicas in this region's datacenter.
///
/// # Errors
/// `Rejected` if there are none: what a region keeps has to be near it.
pub(super) fn replicas_here(keyspace: &str, replicas: &BTreeMap<String, usize>, options: &CqlOptions) -> Result<usize> {
    match replicas.get(&options.datacenter) {
        Some(here) if *here > 0 => Ok(*here),
        Some(_) | None => Err(StoreError::Rejected(format!(
            "the keyspace {keyspace} has no replicas in datacenter {} (store.cql.datacenter): alter its replication, then repair it",
            options.datacenter
        ))),
    }
}

/// Compares everything that has to fit with the options.
///
/// # Errors
/// `Rejected`, with what to do: a keyspace is missing or not replicated as it has to be, its schema is older or newer than this program,
/// the region is not registered or belongs to another datacenter or pseudonym key.
pub(super) async fn check(session: &Session, options: &CqlOptions) -> Result<Identity> {
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
                "the keyspace {keyspace} has {here} replicas in datacenter {} and store.cql.min_replicas asks for {}: with fewer, losing a node loses data",
                options.datacenter, options.min_replicas
            )));
        }
        let wanted = known.len() as u32;
        let found = applied(session, &keyspace).await?.into_iter().max().unwrap_or(0);
        if found != wanted {
            let what_to_do = if found < wanted { "run `yima migrate`" } else { "use a newer program" };
            return Err(StoreError::Rejected(format!(
                "the schema of keyspace {keyspace} is at migration {found} and this program wants {wanted}: {what_to_do}"
            )));
        }
    }
    region(session, options).await
}

/// A region's name is part of keyspaces' names and of header fields.
pub(super) fn check_name(options: &CqlOptions) -> Result<()> {
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

/// Numbers of the migrations that a keyspace has; none if it has no such table.
pub(super) async fn applied(session: &Session, keyspace: &str) -> Result<Vec<u32>> {
    let state = session.get_cluster_state();
    if state.get_keyspace(keyspace).is_none_or(|k| !k.tables.contains_key(MIGRATIONS)) {
        return Ok(Vec::new());
    }
    let text = format!("SELECT number FROM {keyspace}.{MIGRATIONS} WHERE keyspace_name = ? AND number > 0");
    let found = session.query_unpaged(text, (keyspace,)).await.map_err(|e| fault(MIGRATIONS, &e))?;
    let corrupt = |_| StoreError::Corrupt { table: MIGRATIONS, what: "a number".into() };
    let rows =
        found.into_rows_result().map_err(|_| StoreError::Corrupt { table: MIGRATIONS, what: "no rows".into() })?;
    let numbers =
        rows.rows::<(i32,)>().map_err(|_| StoreError::Corrupt { table: MIGRATIONS, what: "a column".into() })?;
    numbers.map(|row| Ok(row.map_err(corrupt)?.0.unsigned_abs())).collect()
}

/// What the registry of regions says of this one.
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

/// A row of the registry of regions.
pub(super) struct RegionRow {
    datacenter: String,
    pub(super) epoch: i32,
    state: Option<String>,
    fingerprint: Vec<u8>,
}

impl RegionRow {
    /// Whether it is the region that the options mean.
    pub(super) fn check(&self, options: &CqlOptions) -> Result<()> {
        if self.datacenter != options.datacenter {
            return Err(StoreError::Rejected(format!(
                "the region {} is registered in datacenter {}, not {}: correct region.name or store.cql.datacenter",
                options.region, self.datacenter, options.datacenter
            )));
        }
        self.check_fingerprint(options)
    }

    /// Whether a rebuild was begun and not finished.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state != "ready")
    }

    /// Whether it knows people by the same key: so must every region.
    pub(super) fn check_fingerprint(&self, options: &CqlOptions) -> Result<()> {
        if self.fingerprint != options.pseudonym_fingerprint {
            return Err(StoreError::Rejected(
                "the database was filled with another pseudonym key, under which nobody would be found: restore that key (keys/pseudonym.key), \
                 the same in every region, or choose another store.cql.keyspace"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// Reads one region's row.
pub(super) async fn region_row(session: &Session, keyspace: &str, region: &str) -> Result<Option<RegionRow>> {
    let text =
        format!("SELECT datacenter, epoch, state, pseudonym_fingerprint FROM {keyspace}.regions WHERE region = ?");
    let found = session.query_unpaged(text, (region,)).await.map_err(|e| fault("regions", &e))?;
    let corrupt = || StoreError::Corrupt { table: "regions", what: "a row".into() };
    let rows = found.into_rows_result().map_err(|_| corrupt())?;
    let row = rows.maybe_first_row::<(String, i32, Option<String>, Vec<u8>)>().map_err(|_| corrupt())?;
    Ok(row.map(|(datacenter, epoch, state, fingerprint)| RegionRow { datacenter, epoch, state, fingerprint }))
}
