//! The check, before a rebuild, that no writer of the region is alive.

use std::collections::{BTreeMap, BTreeSet};

use scylla::client::session::Session;

use crate::cql::CqlOptions;
use crate::cql::error::from_driver;
use crate::cql::outcome::rows;
use crate::{Result, StoreError};

/// Waits until it is certain that no writer of the region is alive, and returns the streams that were left open.
/// Streams already known to be `dead` are not waited for.
pub(super) async fn check_no_writer_lives(
    session: &Session,
    options: &CqlOptions,
    dead: &BTreeSet<i32>,
) -> Result<BTreeSet<i32>> {
    let open = open_streams(session, options).await?;
    if open.is_subset(dead) {
        return Ok(open);
    }
    let before = heartbeat_counts(session, options).await?;
    tokio::time::sleep(options.dead_after + options.beat_every).await;
    let after = heartbeat_counts(session, options).await?;
    let open = open_streams(session, options).await?;
    if let Some(alive) = open.iter().find(|stream| before.get(stream) != after.get(stream)) {
        return Err(StoreError::Rejected(format!(
            "a writer of the region {} is running (stream {alive}): stop the writers of this region first, then run \
             this again",
            options.region
        )));
    }
    Ok(open)
}

async fn open_streams(session: &Session, options: &CqlOptions) -> Result<BTreeSet<i32>> {
    const TABLE: &str = "streams";
    let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
    let text = format!("SELECT stream, state FROM {}.{TABLE} WHERE region = ?", options.keyspace);
    let found = session.query_unpaged(text, (&options.region,)).await.map_err(|e| from_driver(TABLE, &e))?;
    let rows = rows(TABLE, found)?;
    let mut open = BTreeSet::new();
    for row in rows.rows::<(Option<i32>, Option<String>)>().map_err(|_| corrupt())? {
        if let (Some(stream), Some(state)) = row.map_err(|_| corrupt())?
            && state != "closed"
        {
            open.insert(stream);
        }
    }
    Ok(open)
}

async fn heartbeat_counts(session: &Session, options: &CqlOptions) -> Result<BTreeMap<i32, i64>> {
    const TABLE: &str = "heartbeats";
    let corrupt = || StoreError::Corrupt { table: TABLE, what: "a row".into() };
    let text = format!("SELECT stream, beats FROM {}.{TABLE} WHERE region = ?", options.keyspace);
    let found = session.query_unpaged(text, (&options.region,)).await.map_err(|e| from_driver(TABLE, &e))?;
    let rows = rows(TABLE, found)?;
    rows.rows::<(i32, i64)>().map_err(|_| corrupt())?.map(|row| row.map_err(|_| corrupt())).collect()
}
