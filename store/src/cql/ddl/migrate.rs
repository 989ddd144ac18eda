//! `yima migrate`: creates both keyspaces, or their missing parts, and registers the region. A repetition changes
//! nothing.
//!
//! A lease in the table of migrations keeps two migrations apart. Only that table and the keyspaces have to be created
//! before there is a lease.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::statement::{SerialConsistency, Statement};
use scylla::value::CqlTimestamp;
use yima_schema::cql::Migration;
use yima_schema::time::Time;

use super::migration_lease::{MigrationLease, Quorum, compare_and_set};
use super::region_row::region_row;
use super::schema::{MIGRATIONS, applied_migrations, check_name, keyspaces, replicas_here, replication};
use super::schema_changes::{DDL_TIMEOUT, SchemaChanges, create_keyspace};
use crate::cql::CqlOptions;
use crate::cql::error::from_driver;
use crate::cql::outcome::rows;
use crate::cql::session::connect;
use crate::{Result, StoreError};

/// Replicas in each datacenter by default, where there are so many nodes.
const REPLICAS: usize = 3;

/// A step of a migration that changed something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A keyspace was created, with so many replicas in each datacenter.
    Keyspace(String, BTreeMap<String, usize>),
    /// A migration was applied to that keyspace.
    Applied(String, u32, &'static str),
    /// The region was registered.
    Registered,
}

/// Brings both keyspaces to the newest migration and registers the region; returns the steps in their order.
///
/// `shared`: replicas of the shared keyspace by datacenter, where it has to be created; by default 3 in every
/// datacenter, or as many as it has nodes. `now`: the time written to the table of migrations.
///
/// # Errors
/// `Rejected`, with what to do: a keyspace is ahead of this program, or exists with other replication than requested;
/// the region is registered with another datacenter or pseudonym key. Others as the database has it; applied steps
/// stay.
pub async fn migrate(options: &CqlOptions, shared: Option<BTreeMap<String, usize>>, now: Time) -> Result<Vec<Step>> {
    migrate_by(options, shared, now, Quorum::All).await
}

/// The same while the other regions are down: only this region's replicas take part. Two regions that are cut from each
/// other must not both do so: on Cassandra they would create one table twice.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_alone(
    options: &CqlOptions,
    shared: Option<BTreeMap<String, usize>>,
    now: Time,
) -> Result<Vec<Step>> {
    migrate_by(options, shared, now, Quorum::Here).await
}

async fn migrate_by(
    options: &CqlOptions,
    shared: Option<BTreeMap<String, usize>>,
    now: Time,
    quorum: Quorum,
) -> Result<Vec<Step>> {
    check_name(options)?;
    let session = connect_for_changes(options).await?;
    let nodes = nodes_by_datacenter(&session);
    let everywhere = nodes.iter().map(|(name, nodes)| (name.clone(), REPLICAS.min(*nodes))).collect();
    let here = here(&nodes, options);
    let here = shared.as_ref().and_then(|s| s.get(&options.datacenter).copied()).unwrap_or(here);
    let here = BTreeMap::from([(options.datacenter.clone(), here)]);
    let wanted = [(shared.is_some(), shared.unwrap_or(everywhere)), (false, here)];
    let mut steps = Vec::new();
    for (known, (is_explicit, wanted)) in keyspaces(options).into_iter().zip(wanted) {
        steps.extend(migrate_keyspace(&session, options, known, (is_explicit, wanted), now, quorum).await?);
    }
    if register(&session, options).await? {
        steps.push(Step::Registered);
    }
    Ok(steps)
}

/// Drops the region's keyspace, if it exists, and creates it again, empty and with the same replication.
pub(in crate::cql) async fn recreate(options: &CqlOptions, now: Time) -> Result<()> {
    let session = connect_for_changes(options).await?;
    let [_, known] = keyspaces(options);
    let replicas = replication(&session, &known.0);
    if replicas.is_some() {
        SchemaChanges::new(&session)?.run(&format!("DROP KEYSPACE IF EXISTS {}", known.0)).await?;
    }
    let here = here(&nodes_by_datacenter(&session), options);
    let replicas = replicas.unwrap_or_else(|| [(options.datacenter.clone(), here)].into());
    migrate_keyspace(&session, options, known, (false, replicas), now, Quorum::All).await.map(drop)
}

/// Brings the shared keyspace, which exists, to the newest migration.
pub(in crate::cql) async fn migrate_shared(session: &Session, options: &CqlOptions, now: Time) -> Result<()> {
    let [known, _] = keyspaces(options);
    migrate_keyspace(session, options, known, (false, BTreeMap::new()), now, Quorum::All).await.map(drop)
}

/// A session for changes of the schema: a node that makes one may be silent for a while.
pub(in crate::cql) async fn connect_for_changes(options: &CqlOptions) -> Result<Session> {
    connect(&CqlOptions { leave_silent_after: DDL_TIMEOUT, ..options.clone() }).await
}

/// Replicas of the region's own keyspace by default.
fn here(nodes: &BTreeMap<String, usize>, options: &CqlOptions) -> usize {
    REPLICAS.min(nodes.get(&options.datacenter).copied().unwrap_or(1))
}

/// Creates a keyspace if it is missing, with the replicas `wanted`, and applies what it lacks. `is_explicit`: an
/// existing keyspace has to have these replicas.
async fn migrate_keyspace(
    session: &Session,
    options: &CqlOptions,
    (keyspace, migrations): (String, &'static [Migration]),
    (is_explicit, wanted): (bool, BTreeMap<String, usize>),
    now: Time,
    quorum: Quorum,
) -> Result<Vec<Step>> {
    let changes = SchemaChanges::new(session)?;
    let mut steps = Vec::new();
    match replication(session, &keyspace) {
        None => {
            changes.run(&create_keyspace(&keyspace, &wanted)?).await?;
            steps.push(Step::Keyspace(keyspace.clone(), wanted));
        }
        Some(found) if is_explicit && found != wanted => {
            return Err(StoreError::Rejected(format!(
                "the keyspace {keyspace} is replicated {found:?}, not {wanted:?}: `yima migrate` does not change that, \
                 since data has to be streamed: use ALTER KEYSPACE, then repair"
            )));
        }
        // Without replicas in this datacenter no statement below would be answered.
        Some(found) => drop(replicas_here(&keyspace, &found, options)?),
    }
    changes
        .run(&format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.{MIGRATIONS} (keyspace_name text, number int, name text, \
             applied_at timestamp, PRIMARY KEY ((keyspace_name), number))"
        ))
        .await?;
    session.refresh_metadata().await.map_err(|e| from_driver(MIGRATIONS, &e.into()))?;
    let lease = MigrationLease::take(session, &keyspace, quorum).await?;
    let applied = apply(&changes, options, &keyspace, migrations, (now, quorum), &mut steps).await;
    lease.release().await?;
    applied.map(|()| steps)
}

/// Whether the region's own keyspace exists: only [`migrate`] may change it.
///
/// # Errors
/// As for [`crate::cql::CqlStore::open`] when it connects.
pub async fn is_migrated(options: &CqlOptions) -> Result<bool> {
    check_name(options)?;
    Ok(replication(&connect(options).await?, &options.region_keyspace()).is_some())
}

async fn apply(
    changes: &SchemaChanges<'_>,
    options: &CqlOptions,
    keyspace: &str,
    migrations: &'static [Migration],
    (now, quorum): (Time, Quorum),
    steps: &mut Vec<Step>,
) -> Result<()> {
    let newest = migrations.len() as u32;
    let found = applied_migrations(changes.session, keyspace).await?;
    if let Some(ahead) = found.iter().copied().max().filter(|found| *found > newest) {
        return Err(StoreError::Rejected(format!(
            "the schema of keyspace {keyspace} is at migration {ahead} and this program knows {newest}: use a newer \
             program; there is no way back"
        )));
    }
    for migration in migrations.iter().filter(|m| !found.contains(&m.number)) {
        for statement in migration.statements(&options.keyspace, &options.region_keyspace()) {
            changes.run(&statement).await?;
        }
        let text = format!(
            "INSERT INTO {keyspace}.{MIGRATIONS} (keyspace_name, number, name, applied_at) VALUES (?, ?, ?, ?)"
        );
        let row = (keyspace, migration.number as i32, migration.name, CqlTimestamp(now.as_millis()));
        changes.session.query_unpaged(quorum.statement(&text), row).await.map_err(|e| from_driver(MIGRATIONS, &e))?;
        steps.push(Step::Applied(keyspace.to_owned(), migration.number, migration.name));
    }
    Ok(())
}

/// Registers the region, or checks that it is registered as the options say; returns whether it is new. Every region
/// must have the same pseudonym key.
async fn register(session: &Session, options: &CqlOptions) -> Result<bool> {
    const TABLE: &str = "regions";
    let mut insert = Statement::new(format!(
        "INSERT INTO {}.{TABLE} \
         (region, datacenter, keyspace_name, epoch, state, rules_version, pseudonym_fingerprint) \
         VALUES (?, ?, ?, 1, 'ready', 0, ?) IF NOT EXISTS",
        options.keyspace
    ));
    insert.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    let row = (&options.region, &options.datacenter, options.region_keyspace(), options.pseudonym_fingerprint.to_vec());
    let (is_new, _) = compare_and_set(session, TABLE, insert, row).await?;
    let text = format!("SELECT region FROM {}.{TABLE}", options.keyspace);
    let found = session.query_unpaged(text, ()).await.map_err(|e| from_driver(TABLE, &e))?;
    let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
    for name in rows(TABLE, found)?.rows::<(String,)>().map_err(|_| corrupt())? {
        let (name,) = name.map_err(|_| corrupt())?;
        if let Some(registered) = region_row(session, &options.keyspace, &name).await? {
            registered.check_fingerprint(options)?;
            if name == options.region {
                registered.check(options)?;
            }
        }
    }
    Ok(is_new)
}

fn nodes_by_datacenter(session: &Session) -> BTreeMap<String, usize> {
    let mut nodes = BTreeMap::new();
    for node in session.get_cluster_state().get_nodes_info() {
        *nodes.entry(node.datacenter.clone().unwrap_or_default()).or_default() += 1;
    }
    nodes
}
