//! Making a region's keyspace again: what has to be true before anybody folds, and what after.
//!
//! 1. No writer of the region gives a sign of life.
//! 2. The region's row says `rebuilding`, with the next epoch. From here on nobody is told that a person is absent, or that the feed was read;
//!    a writer that starts sees it after it registered its stream, or we see that stream.
//! 3. The keyspace is dropped and made again, and a row in it says that this was done for this epoch: who goes on later begins here.
//! 4. Streams that were left open are closed. Other regions' marks are followed again from the oldest that is there.
//!
//! The row says `ready` only when everyone is folded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::{SerialConsistency, Statement};
use yima_schema::time::Time;

use super::fault::fault;
use super::log_segments::PART_ROWS;
use super::options::CqlOptions;
use super::region::rebuilding;
use super::schema::{RegionRow, check_name, region_row, replication};
use super::session::connect;
use super::{CqlStore, Inner, StreamOf, migrate, was_applied};
use crate::{Progress, Result, StoreError, SubjectScan};

/// Makes a region's tables again, empty, or goes on with a rebuild that was interrupted. What it returns may fold while nobody else does.
///
/// # Errors
/// `Rejected`, with what to do: a writer of the region is alive; there are no events; the region is registered otherwise.
pub async fn begin_rebuild(options: &CqlOptions, now: Time) -> Result<Arc<CqlStore>> {
    check_name(options)?;
    let session = connect(options).await?;
    if replication(&session, &options.keyspace).is_none() {
        return Err(StoreError::Rejected(format!(
            "the keyspace {} does not exist, and with it all events: restore it first (store.cql.keyspace)",
            options.keyspace
        )));
    }
    let Some(row) = region_row(&session, &options.keyspace, &options.region).await? else {
        return Err(StoreError::Rejected(format!(
            "the region {} is not registered: restore the shared keyspace with its table regions, or run `yima migrate` for a new region",
            options.region
        )));
    };
    row.check(options)?;
    let dead = nobody_writes(&session, options, &BTreeSet::new()).await?;
    let epoch = if row.is_rebuilding() { row.epoch } else { announce(&session, options, &row).await? };
    nobody_writes(&session, options, &dead).await?;
    let task = task(epoch);
    let resumed = has_begun(&session, &options.region_keyspace(), &task).await?;
    if !resumed {
        migrate::make_again(&session, options, now).await?;
    }
    drop(session);
    let store = CqlStore::open_as(options.clone(), true).await?;
    if !store.inner.region_state().await?.rebuilding {
        return Err(StoreError::Rejected("somebody else has finished a rebuild of this region just now".into()));
    }
    for stream in store.inner.stream_rows().await?.into_iter().filter(|stream| !stream.closed) {
        store.inner.close(stream.id).await?;
    }
    if !resumed {
        store.inner.positions_from_oldest_marks().await?;
        store.save_progress(&task, &Progress::begin(now)).await?;
    }
    Ok(store)
}

/// What the progress of a rebuild is called: each epoch has its own.
fn task(epoch: i32) -> String {
    format!("rebuild/{epoch}")
}

impl CqlStore {
    /// The task under which [`begin_rebuild`] notes how far it has come.
    pub fn rebuild_task(&self) -> String {
        task(i32::from(self.inner.identity.epoch))
    }

    /// Says that everyone is folded: readers may read again, and writers start.
    ///
    /// # Errors
    /// The store's; somebody else began another rebuild meanwhile.
    pub async fn finish_rebuild(&self) -> Result<()> {
        let inner = &*self.inner;
        let values = (inner.options.region.as_str(), i32::from(inner.identity.epoch));
        loop {
            let set = inner.session.execute_unpaged(&inner.statements.regions.finish_rebuild, values).await;
            match set.map_err(|e| fault("regions", &e)).and_then(|set| was_applied("regions", set)) {
                Ok(true) => return Ok(()),
                // It may have been applied by the try before.
                Ok(false) => {
                    let state = inner.region_state().await?;
                    return if state.epoch == inner.identity.epoch && !state.rebuilding {
                        Ok(())
                    } else {
                        Err(rebuilding())
                    };
                }
                Err(StoreError::TimedOut) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Waits until it is known that no writer of the region is alive, and tells which streams were left open. `dead` are known already.
async fn nobody_writes(session: &Session, options: &CqlOptions, dead: &BTreeSet<i32>) -> Result<BTreeSet<i32>> {
    let open: BTreeSet<i32> = open_streams(session, options).await?;
    if open.is_subset(dead) {
        return Ok(open);
    }
    let before = beats(session, options).await?;
    tokio::time::sleep(options.dead_after + options.beat_every).await;
    let after = beats(session, options).await?;
    let open = open_streams(session, options).await?;
    if let Some(alive) = open.iter().find(|stream| before.get(stream) != after.get(stream)) {
        return Err(StoreError::Rejected(format!(
            "a writer of the region {} is running (stream {alive}): stop the writers of this region first, then run this again",
            options.region
        )));
    }
    Ok(open)
}

async fn open_streams(session: &Session, options: &CqlOptions) -> Result<BTreeSet<i32>> {
    let corrupt = || StoreError::Corrupt { table: "streams", what: "a row".into() };
    let text = format!("SELECT stream, state FROM {}.streams WHERE region = ?", options.keyspace);
    let found = session.query_unpaged(text, (&options.region,)).await.map_err(|e| fault("streams", &e))?;
    let rows = found.into_rows_result().map_err(|_| corrupt())?;
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

async fn beats(session: &Session, options: &CqlOptions) -> Result<BTreeMap<i32, i64>> {
    let corrupt = || StoreError::Corrupt { table: "heartbeats", what: "a row".into() };
    let text = format!("SELECT stream, beats FROM {}.heartbeats WHERE region = ?", options.keyspace);
    let found = session.query_unpaged(text, (&options.region,)).await.map_err(|e| fault("heartbeats", &e))?;
    let rows = found.into_rows_result().map_err(|_| corrupt())?;
    rows.rows::<(i32, i64)>().map_err(|_| corrupt())?.map(|row| row.map_err(|_| corrupt())).collect()
}

/// Says that the region is being rebuilt, and raises its epoch; returns the new one.
async fn announce(session: &Session, options: &CqlOptions, row: &RegionRow) -> Result<i32> {
    let next = row.epoch + 1;
    let mut update = Statement::new(format!(
        "UPDATE {}.regions SET state = 'rebuilding', epoch = ? WHERE region = ? IF epoch = ?",
        options.keyspace
    ));
    update.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    let set = session.query_unpaged(update, (next, &options.region, row.epoch)).await;
    match set.map_err(|e| fault("regions", &e)).and_then(|set| was_applied("regions", set)) {
        Ok(true) => Ok(next),
        Ok(false) => Err(StoreError::Rejected(format!(
            "somebody else has raised the epoch of the region {} at this moment: run this again",
            options.region
        ))),
        Err(fault) => Err(fault),
    }
}

/// Whether the keyspace was made again for this task already.
async fn has_begun(session: &Session, keyspace: &str, task: &str) -> Result<bool> {
    session.refresh_metadata().await.map_err(|e| fault("progress", &e.into()))?;
    let state = session.get_cluster_state();
    if state.get_keyspace(keyspace).is_none_or(|keyspace| !keyspace.tables.contains_key("progress")) {
        return Ok(false);
    }
    let text = format!("SELECT upto FROM {keyspace}.progress WHERE task = ?");
    let found = session.query_unpaged(text, (task,)).await.map_err(|e| fault("progress", &e))?;
    Ok(found.into_rows_result().is_ok_and(|rows| rows.rows_num() > 0))
}

impl Inner {
    /// Notes for every stream of the other regions that its marks are followed up to the oldest one that has not expired. Whether everything was
    /// followed that has, nobody knows any more: `yima reconcile` finds what was not.
    async fn positions_from_oldest_marks(&self) -> Result<()> {
        for (region, _) in self.other_regions().await? {
            for (stream, beat) in self.heartbeats(&region).await? {
                let of = StreamOf { region: region.clone(), stream };
                let position = self.before_oldest_mark(&of, beat.marks_written).await?;
                self.save_position(&of, position, Time::MIN).await?;
                if position > 0 {
                    self.note_missed(&of).await?;
                }
            }
        }
        Ok(())
    }

    /// Marks expire in order, so the first partition that has any is found by halving.
    async fn before_oldest_mark(&self, of: &StreamOf, written: u64) -> Result<u64> {
        let (mut from, mut to) = (0, written / PART_ROWS);
        while from < to {
            let middle = (from + to) / 2;
            match self.first_mark_in(of, middle).await? {
                Some(_) => to = middle,
                None => from = middle + 1,
            }
        }
        Ok(self.first_mark_in(of, from).await?.map_or(written, |first| first.saturating_sub(1)))
    }

    async fn first_mark_in(&self, of: &StreamOf, part: u64) -> Result<Option<u64>> {
        let corrupt = || StoreError::Corrupt { table: "marks", what: "a number".into() };
        let asked = (of.region.as_str(), of.stream.0 as i32, part as i64);
        let found = self.session.execute_unpaged(&self.statements.rows.first_mark, asked).await;
        let rows = found.map_err(|e| fault("marks", &e))?.into_rows_result().map_err(|_| corrupt())?;
        Ok(rows.maybe_first_row::<(i64,)>().map_err(|_| corrupt())?.map(|(number,)| number as u64))
    }
}
