//! Rebuild of a region's keyspace: the steps before any subject is folded, and the one after.
//!
//! 1. No writer of the region sends a heartbeat.
//! 2. The region's row says `rebuilding`, with the next epoch. From here on no reader reports an absence or the end of
//!    the feed. A writer that starts sees it after it registered its stream, or the rebuild sees that stream.
//! 3. The keyspace is dropped and created again, and a row in it says that this was done for this epoch: a resumed
//!    rebuild begins here.
//! 4. Streams that were left open are sealed. Other regions' marks are followed again from their oldest mark.
//!
//! The row says `ready` only when every subject is folded.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::{SerialConsistency, Statement};
use yima_schema::time::Time;

use super::living_writers::check_no_writer_lives;
use crate::cql::ddl::migrate;
use crate::cql::ddl::region_row::{RegionRow, region_row};
use crate::cql::ddl::schema::{check_migrated, check_name, keyspaces, replication};
use crate::cql::error::from_driver;
use crate::cql::log::log_segments::SEGMENT_ROWS;
use crate::cql::outcome::{rows, was_applied};
use crate::cql::region::rebuilding;
use crate::cql::retirement::fence;
use crate::cql::session::connect;
use crate::cql::{CqlOptions, CqlStore, Inner, RegionStream};
use crate::{Progress, Result, StoreError, SubjectScan};

/// Makes a region's tables again, empty, or resumes a rebuild that was interrupted. The store it returns may fold while
/// no other process does.
///
/// # Errors
/// `Rejected`, with what to do: a writer of the region is alive; there are no events; the region is registered with
/// another datacenter or pseudonym key.
pub async fn begin_rebuild(options: &CqlOptions, now: Time) -> Result<Arc<CqlStore>> {
    check_name(options)?;
    let session = connect(options).await?;
    if !options.rejoins {
        fence::check_at_start(&session, options).await?;
    }
    if replication(&session, &options.keyspace).is_none() {
        return Err(StoreError::Rejected(format!(
            "the keyspace {} does not exist, and with it all events: restore it first (store.cql.keyspace)",
            options.keyspace
        )));
    }
    let Some(row) = region_row(&session, &options.keyspace, &options.region).await? else {
        return Err(StoreError::Rejected(format!(
            "the region {} is not registered: restore the shared keyspace with its table regions, or run \
             `yima migrate` for a new region",
            options.region
        )));
    };
    row.check(options)?;
    check_migrated(&session, &keyspaces(options)[0]).await?;
    let dead = check_no_writer_lives(&session, options, &[].into()).await?;
    let epoch = if row.is_rebuilding() { row.epoch } else { announce(&session, options, &row).await? };
    check_no_writer_lives(&session, options, &dead).await?;
    let task = task(epoch);
    let resumed = is_recreated(&session, &options.region_keyspace(), &task).await?;
    if !resumed {
        migrate::recreate(options, now).await?;
    }
    drop(session);
    let store = CqlStore::open_as(options.clone(), true).await?;
    if !store.inner.region_state().await?.rebuilding {
        return Err(StoreError::Rejected("another process has just finished a rebuild of this region".into()));
    }
    for stream in store.inner.stream_rows().await?.into_iter().filter(|stream| !stream.closed) {
        store.inner.seal(stream.id).await?;
    }
    if !resumed {
        store.inner.positions_from_oldest_marks().await?;
        store.save_progress(&task, &Progress::begin(now)).await?;
    }
    Ok(store)
}

/// The task under which a rebuild saves its progress: each epoch has its own.
fn task(epoch: i32) -> String {
    format!("rebuild/{epoch}")
}

impl CqlStore {
    /// The task under which the rebuild that [`begin_rebuild`] began saves its progress.
    pub fn rebuild_task(&self) -> String {
        task(i32::from(self.inner.identity.epoch))
    }

    /// Announces that every subject is folded: readers may read again, and writers start.
    ///
    /// # Errors
    /// The store's; another process began another rebuild meanwhile.
    pub async fn finish_rebuild(&self) -> Result<()> {
        let inner = &*self.inner;
        let values = (inner.options.region.as_str(), i32::from(inner.identity.epoch));
        loop {
            match inner.compare("regions", &inner.statements.regions.finish_rebuild, values).await {
                Ok(true) => return Ok(()),
                // An earlier attempt may have been applied.
                Ok(false) => {
                    let state = inner.region_state().await?;
                    let is_finished = state.epoch == inner.identity.epoch && !state.rebuilding;
                    return if is_finished { Ok(()) } else { Err(rebuilding()) };
                }
                Err(StoreError::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Announces that the region is being rebuilt, and raises its epoch; returns the new one.
async fn announce(session: &Session, options: &CqlOptions, row: &RegionRow) -> Result<i32> {
    let next = row.epoch + 1;
    let mut update = Statement::new(format!(
        "UPDATE {}.regions SET state = 'rebuilding', epoch = ? WHERE region = ? IF epoch = ?",
        options.keyspace
    ));
    update.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    let set = session.query_unpaged(update, (next, &options.region, row.epoch)).await;
    if was_applied("regions", set.map_err(|e| from_driver("regions", &e))?)? {
        Ok(next)
    } else {
        Err(StoreError::Rejected(format!(
            "another process has just raised the epoch of the region {}: run this again",
            options.region
        )))
    }
}

/// Whether the keyspace was already created again for this task.
async fn is_recreated(session: &Session, keyspace: &str, task: &str) -> Result<bool> {
    const TABLE: &str = "progress";
    session.refresh_metadata().await.map_err(|e| from_driver(TABLE, &e.into()))?;
    let state = session.get_cluster_state();
    if state.get_keyspace(keyspace).is_none_or(|keyspace| !keyspace.tables.contains_key(TABLE)) {
        return Ok(false);
    }
    let text = format!("SELECT upto FROM {keyspace}.{TABLE} WHERE task = ?");
    let found = session.query_unpaged(text, (task,)).await.map_err(|e| from_driver(TABLE, &e))?;
    Ok(rows(TABLE, found).is_ok_and(|rows| rows.rows_num() > 0))
}

impl Inner {
    /// Sets the position in every stream of the other regions to just below its oldest mark that has not expired.
    /// It is unknown whether every expired mark was followed: `yima reconcile` finds the events that were
    /// missed.
    async fn positions_from_oldest_marks(&self) -> Result<()> {
        for region in self.other_regions().await? {
            if let Err(error) = self.copy_unknown_heartbeats(&region.name, &region.datacenter).await {
                tracing::warn!(%error, region = region.name, "a region's streams were not compared: is it down?");
            }
            for (stream, heartbeat) in self.heartbeats(&region.name).await? {
                let stream = RegionStream { region: region.name.clone(), stream };
                let position = self.before_oldest_mark(&stream, heartbeat.marks_written).await?;
                self.save_position(&stream, position, Time::MIN).await?;
                if position > 0 {
                    self.note_missed(&stream).await?;
                }
            }
        }
        Ok(())
    }

    /// Marks expire in order, so the first segment that has any is found by bisection.
    async fn before_oldest_mark(&self, stream: &RegionStream, written: u64) -> Result<u64> {
        let (mut from, mut to) = (0, written / SEGMENT_ROWS);
        while from < to {
            let middle = (from + to) / 2;
            match self.first_mark_in(stream, middle).await? {
                Some(_) => to = middle,
                None => from = middle + 1,
            }
        }
        Ok(self.first_mark_in(stream, from).await?.map_or(written, |first| first.saturating_sub(1)))
    }

    async fn first_mark_in(&self, stream: &RegionStream, segment: u64) -> Result<Option<u64>> {
        const TABLE: &str = "marks";
        let corrupt = |_| StoreError::Corrupt { table: TABLE, what: "a number".into() };
        let key = (stream.region.as_str(), stream.stream.0 as i32, segment as i64);
        let rows = self.query(TABLE, &self.statements.segments.first_mark, key).await?;
        Ok(rows.maybe_first_row::<(i64,)>().map_err(corrupt)?.map(|(number,)| number as u64))
    }
}
