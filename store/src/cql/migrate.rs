//! `yima migrate`: makes what is missing of both keyspaces and registers the region. Doing it again changes nothing.
//!
//! Two at once are kept apart by a lease in the table of migrations. Only that table and the keyspaces have to be made before there is
//! a lease; all of it goes through one node, whichever has the lowest id, because Cassandra (unlike ScyllaDB, which orders schema changes by
//! Raft) can make one table twice when two nodes are asked at the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scylla::client::session::Session;
use scylla::policies::load_balancing::{LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, SerialConsistency, Statement};
use scylla::value::{CqlTimestamp, Row};
use yima_schema::cql::Migration;
use yima_schema::time::Time;

use super::fault::fault;
use super::options::CqlOptions;
use super::schema::{MIGRATIONS, applied, check_name, keyspaces, region_row, replicas_here, replication};
use super::session::connect;
use crate::{Result, StoreError};

/// Replicas in each datacenter, where nobody says otherwise and there are so many nodes.
const REPLICAS: usize = 3;
/// How long the lease lasts without its holder: longer than one migration takes.
const LEASE_S: i32 = 60;
/// How long to wait for somebody else's.
const WAIT: Duration = Duration::from_secs(90);
/// A schema change waits for every node.
const DDL_TIMEOUT: Duration = Duration::from_secs(60);

/// What a migration did, in the order in which it did it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A keyspace was made, with so many replicas in each datacenter.
    Keyspace(String, BTreeMap<String, usize>),
    /// A migration was applied to that keyspace.
    Applied(String, u32, &'static str),
    /// The region was registered.
    Registered,
}

/// Brings both keyspaces to the newest migration and registers the region. `shared`: replicas of the shared keyspace by datacenter, where it
/// has to be made; by default 3 in every datacenter, or as many as it has nodes. `now`: what the table of migrations says of when.
///
/// # Errors
/// `Rejected`, with what to do: a keyspace is ahead of this program, or exists with other replication than asked for; the region is
/// registered otherwise. Others as the database has it; what was applied before stays.
pub async fn migrate(options: &CqlOptions, shared: Option<BTreeMap<String, usize>>, now: Time) -> Result<Vec<Step>> {
    bring(options, shared, None, now).await
}

/// Drops the region's keyspace, if there is one, and makes it again, empty and replicated as it was.
pub(super) async fn make_again(session: &Session, options: &CqlOptions, now: Time) -> Result<()> {
    let keyspace = options.region_keyspace();
    let replicas = replication(session, &keyspace);
    if replicas.is_some() {
        Ddl { target: first_node(session)?, session }.run(&format!("DROP KEYSPACE IF EXISTS {keyspace}")).await?;
    }
    bring(options, None, replicas, now).await.map(drop)
}

/// See [`migrate`]; `region`: replicas of the region's keyspace, where it has to be made.
async fn bring(
    options: &CqlOptions,
    shared: Option<BTreeMap<String, usize>>,
    region: Option<BTreeMap<String, usize>>,
    now: Time,
) -> Result<Vec<Step>> {
    check_name(options)?;
    let session = connect(options).await?;
    let ddl = Ddl { target: first_node(&session)?, session: &session };
    let nodes = nodes(&session);
    let everywhere = nodes.iter().map(|(name, nodes)| (name.clone(), REPLICAS.min(*nodes))).collect();
    let here = REPLICAS.min(nodes.get(&options.datacenter).copied().unwrap_or(1));
    let here = shared.as_ref().and_then(|s| s.get(&options.datacenter).copied()).unwrap_or(here);
    let here = [(options.datacenter.clone(), here)].into();
    let wanted = [(shared.is_some(), shared.unwrap_or(everywhere)), (false, region.unwrap_or(here))];
    let mut steps = Vec::new();
    for ((keyspace, migrations), (explicit, wanted)) in keyspaces(options).into_iter().zip(wanted) {
        match replication(&session, &keyspace) {
            None => {
                ddl.run(&create_keyspace(&keyspace, &wanted)?).await?;
                steps.push(Step::Keyspace(keyspace.clone(), wanted));
            }
            Some(found) if explicit && found != wanted => {
                return Err(StoreError::Rejected(format!(
                    "the keyspace {keyspace} is replicated {found:?}, not {wanted:?}: `yima migrate` does not change that, since data has to be \
                     streamed: use ALTER KEYSPACE, then repair"
                )));
            }
            // Else an answer would be waited for from nobody.
            Some(found) => drop(replicas_here(&keyspace, &found, options)?),
        }
        ddl.run(&format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.{MIGRATIONS} (keyspace_name text, number int, name text, applied_at timestamp, \
             PRIMARY KEY ((keyspace_name), number))"
        ))
        .await?;
        session.refresh_metadata().await.map_err(|e| fault(MIGRATIONS, &e.into()))?;
        let lease = Lease::take(&session, &keyspace).await?;
        let done = apply(&ddl, options, &keyspace, migrations, now, &mut steps).await;
        lease.release().await?;
        done?;
    }
    if register(&session, options).await? {
        steps.push(Step::Registered);
    }
    Ok(steps)
}

/// Whether there is something that only [`migrate`] may change: the region's own keyspace.
///
/// # Errors
/// As for [`super::CqlStore::open`] when it connects.
pub async fn is_migrated(options: &CqlOptions) -> Result<bool> {
    check_name(options)?;
    Ok(replication(&connect(options).await?, &options.region_keyspace()).is_some())
}

/// Schema changes through one node.
struct Ddl<'a> {
    session: &'a Session,
    target: Arc<dyn LoadBalancingPolicy>,
}

impl Ddl<'_> {
    async fn run(&self, text: &str) -> Result<()> {
        let mut statement = Statement::new(text);
        statement.set_load_balancing_policy(Some(Arc::clone(&self.target)));
        statement.set_request_timeout(Some(DDL_TIMEOUT));
        statement.set_is_idempotent(true);
        self.session.query_unpaged(statement, ()).await.map_err(|e| fault("schema", &e))?;
        // Also when somebody else has just made it, and the other nodes do not know it yet.
        self.session.await_schema_agreement().await.map(drop).map_err(|e| fault("schema", &e.into()))
    }
}

async fn apply(
    ddl: &Ddl<'_>,
    options: &CqlOptions,
    keyspace: &str,
    migrations: &'static [Migration],
    now: Time,
    steps: &mut Vec<Step>,
) -> Result<()> {
    let newest = migrations.len() as u32;
    let found = applied(ddl.session, keyspace).await?;
    if let Some(ahead) = found.iter().copied().max().filter(|found| *found > newest) {
        return Err(StoreError::Rejected(format!(
            "the schema of keyspace {keyspace} is at migration {ahead} and this program knows {newest}: use a newer program; there is no way back"
        )));
    }
    for migration in migrations.iter().filter(|m| !found.contains(&m.number)) {
        for statement in migration.statements(&options.keyspace, &options.region_keyspace()) {
            ddl.run(&statement).await?;
        }
        let text = format!(
            "INSERT INTO {keyspace}.{MIGRATIONS} (keyspace_name, number, name, applied_at) VALUES (?, ?, ?, ?)"
        );
        let row = (keyspace, migration.number as i32, migration.name, CqlTimestamp(now.as_millis()));
        ddl.session.query_unpaged(quorum(&text), row).await.map_err(|e| fault(MIGRATIONS, &e))?;
        steps.push(Step::Applied(keyspace.to_owned(), migration.number, migration.name));
    }
    Ok(())
}

/// Registers the region, or checks that it is registered as the options say; whether it is new.
async fn register(session: &Session, options: &CqlOptions) -> Result<bool> {
    let mut insert = Statement::new(format!(
        "INSERT INTO {}.regions (region, datacenter, keyspace_name, epoch, state, rules_version, pseudonym_fingerprint) \
         VALUES (?, ?, ?, 1, 'ready', 0, ?) IF NOT EXISTS",
        options.keyspace
    ));
    insert.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    let row = (&options.region, &options.datacenter, options.region_keyspace(), options.pseudonym_fingerprint.to_vec());
    let (registered, _) = compare_and_set(session, "regions", insert, row).await?;
    let text = format!("SELECT region FROM {}.regions", options.keyspace);
    let found = session.query_unpaged(text, ()).await.map_err(|e| fault("regions", &e))?;
    let corrupt = || StoreError::Corrupt { table: "regions", what: "a row".into() };
    let rows = found.into_rows_result().map_err(|_| corrupt())?;
    for name in rows.rows::<(String,)>().map_err(|_| corrupt())? {
        let (name,) = name.map_err(|_| corrupt())?;
        if let Some(other) = region_row(session, &options.keyspace, &name).await? {
            other.check_fingerprint(options)?;
            if name == options.region {
                other.check(options)?;
            }
        }
    }
    Ok(registered)
}

/// The right to migrate one keyspace.
struct Lease<'a> {
    session: &'a Session,
    keyspace: String,
    owner: String,
}

impl<'a> Lease<'a> {
    async fn take(session: &'a Session, keyspace: &str) -> Result<Self> {
        let owner = format!("{:032x}", rand::random::<u128>());
        let text = format!(
            "INSERT INTO {keyspace}.{MIGRATIONS} (keyspace_name, number, name) VALUES (?, 0, ?) IF NOT EXISTS USING TTL {LEASE_S}"
        );
        let begun = Instant::now();
        loop {
            // In a crowd it can take so long that nobody knows who has it: then the next try tells.
            match compare_and_set(session, MIGRATIONS, quorum(&text), (keyspace, &owner)).await {
                Ok((true, _)) => break,
                Ok((false, row)) if is_owner(&row, &owner) => break,
                Ok((false, _)) | Err(StoreError::TimedOut) => {}
                Err(fault) => return Err(fault),
            }
            if begun.elapsed() > WAIT {
                return Err(StoreError::Unavailable(format!(
                    "somebody else has been migrating the keyspace {keyspace} for long"
                )));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(Self { session, keyspace: keyspace.to_owned(), owner })
    }

    async fn release(self) -> Result<()> {
        let text =
            format!("DELETE FROM {}.{MIGRATIONS} WHERE keyspace_name = ? AND number = 0 IF name = ?", self.keyspace);
        // Gone by its TTL is as good, also if it is not known that it is gone.
        match compare_and_set(self.session, MIGRATIONS, quorum(&text), (&self.keyspace, &self.owner)).await {
            Ok(_) | Err(StoreError::TimedOut) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether the row of a lease that somebody has is ours.
fn is_owner(row: &Row, owner: &str) -> bool {
    row.columns.iter().flatten().any(|value| value.as_text().is_some_and(|text| text == owner))
}

/// Runs a compare-and-set and tells whether it was applied, and the row that it answers.
async fn compare_and_set(
    session: &Session,
    table: &'static str,
    statement: Statement,
    values: impl scylla::serialize::row::SerializeRow,
) -> Result<(bool, Row)> {
    let found = session.query_unpaged(statement, values).await.map_err(|e| fault(table, &e))?;
    let corrupt = || StoreError::Corrupt { table, what: "an outcome".into() };
    let row = found.into_rows_result().map_err(|_| corrupt())?.first_row::<Row>().map_err(|_| corrupt())?;
    Ok((super::applied(&row).ok_or_else(corrupt)?, row))
}

/// A statement that all datacenters take part in: any region may migrate the shared keyspace.
fn quorum(text: &str) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::Quorum);
    statement.set_serial_consistency(Some(SerialConsistency::Serial));
    statement.set_request_timeout(Some(DDL_TIMEOUT));
    statement
}

/// Nodes by datacenter.
fn nodes(session: &Session) -> BTreeMap<String, usize> {
    let mut nodes = BTreeMap::new();
    for node in session.get_cluster_state().get_nodes_info() {
        *nodes.entry(node.datacenter.clone().unwrap_or_default()).or_default() += 1;
    }
    nodes
}

/// The node with the lowest id of those that are connected: all datacenters', so that everybody means the same.
fn first_node(session: &Session) -> Result<Arc<dyn LoadBalancingPolicy>> {
    let state = session.get_cluster_state();
    let first = state.get_nodes_info().iter().filter(|node| node.is_connected()).map(|node| node.host_id).min();
    let first = first.ok_or_else(|| StoreError::Unavailable("no node is connected".into()))?;
    Ok(SingleTargetLoadBalancingPolicy::new(NodeIdentifier::HostId(first), None))
}

fn create_keyspace(keyspace: &str, replicas: &BTreeMap<String, usize>) -> Result<String> {
    let mut datacenters = String::new();
    for (name, replicas) in replicas {
        if *replicas == 0 || name.contains('\'') {
            return Err(StoreError::Rejected(format!(
                "--replication: expected a datacenter and at least 1 replica, not {name}={replicas}"
            )));
        }
        datacenters += &format!(", '{name}': {replicas}");
    }
    Ok(format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy'{datacenters}}}"
    ))
}
