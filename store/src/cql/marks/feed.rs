//! The feed of marks: which streams have to be followed here, their marks, and the events that those name.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use yima_schema::mark::EventName;
use yima_schema::time::Time;

use super::positions::Position;
use crate::cql::log::heartbeat::Heartbeat;
use crate::cql::log::log_segments::LogTable;
use crate::cql::{CONCURRENT_REQUESTS, CqlStore, Inner, RegionStream};
use crate::{MarkFeed, Place, Result, Source, StoreError, StreamId};

#[async_trait]
impl MarkFeed for CqlStore {
    async fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = self.inner.own_sources().await?;
        for region in self.inner.other_regions().await? {
            let (heartbeats, positions) = self.inner.heartbeats_and_positions(&region.name).await?;
            sources.extend(unfinished(&region.name, false, heartbeats, &positions));
        }
        Ok(sources)
    }

    async fn lease(&self, source: &Source) -> Result<bool> {
        self.inner.lease(format!("marks/{}/{}", source.region, source.stream.0)).await
    }

    async fn marks(
        &self,
        source: &Source,
        place: Place,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<EventName>)>> {
        let datacenter = match place {
            Place::Here => None,
            Place::Source => self.inner.datacenter_of(&source.region).await?,
        };
        let stream = stream_of(source);
        let rows = self.inner.read_rows_at(datacenter.as_deref(), LogTable::Marks, &stream, after, limit).await?;
        let decode = |(number, body): (u64, Vec<u8>)| match body.is_empty() {
            true => Ok((number, None)),
            false => EventName::decode(&body)
                .map(|name| (number, Some(name)))
                .map_err(|e| StoreError::Corrupt { table: "marks", what: e.to_string() }),
        };
        rows.into_iter().map(decode).collect()
    }

    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>> {
        let reads: Vec<_> = events.iter().map(|name| self.inner.event(name, None)).collect();
        stream::iter(reads).buffered(CONCURRENT_REQUESTS).map_ok(|event| event.is_some()).try_collect().await
    }

    async fn fetch(&self, source: &Source, events: &[EventName]) -> Result<Vec<bool>> {
        let Some(datacenter) = self.inner.datacenter_of(&source.region).await? else {
            return self.arrived(events).await;
        };
        let inner = &*self.inner;
        let fetches: Vec<_> = events.iter().map(|name| inner.fetch_event(name, &datacenter)).collect();
        stream::iter(fetches).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    async fn settle(&self, source: &Source, position: u64, as_of: Time) -> Result<()> {
        self.inner.save_position(&stream_of(source), position, as_of).await
    }

    async fn missed(&self, source: &Source) -> Result<()> {
        self.inner.note_missed(&stream_of(source)).await
    }

    async fn seal_dead_streams(&self) -> Result<usize> {
        self.inner.seal_dead().await
    }
}

fn stream_of(source: &Source) -> RegionStream {
    RegionStream { region: source.region.clone(), stream: source.stream }
}

impl Inner {
    /// This region's sealed streams that are not followed to their end: the writer of an open one folds for itself.
    pub(super) async fn own_sources(&self) -> Result<Vec<Source>> {
        let region = &self.options.region;
        let (heartbeats, positions) = self.heartbeats_and_positions(region).await?;
        Ok(unfinished(region, true, heartbeats, &positions))
    }

    /// Reads one event in another datacenter and writes it here. `false`: that datacenter does not have it.
    async fn fetch_event(&self, name: &EventName, datacenter: &str) -> Result<bool> {
        let Some(event) = self.event(name, Some(datacenter)).await? else { return Ok(false) };
        self.insert_event(&event).await?;
        Ok(true)
    }
}

/// The streams of a region that are not followed to their end.
fn unfinished(
    region: &str,
    is_own_region: bool,
    heartbeats: BTreeMap<StreamId, Heartbeat>,
    positions: &BTreeMap<StreamId, Position>,
) -> Vec<Source> {
    let source = |(stream, heartbeat): (StreamId, Heartbeat)| {
        let settled = if is_own_region { heartbeat.marks_settled } else { 0 };
        let Position { number, as_of: settled_as_of, missed } = positions.get(&stream).copied().unwrap_or_default();
        Source {
            region: region.to_owned(),
            stream,
            position: number.max(settled),
            settled_as_of,
            missed,
            written: heartbeat.marks_written,
            open: !heartbeat.closed,
            taken: heartbeat.marks_taken,
            as_of: heartbeat.at,
        }
    };
    let is_unfinished = |source: &Source| {
        let is_known = positions.contains_key(&source.stream);
        if is_own_region {
            !source.open && source.position < source.written
        } else {
            source.open || !is_known || source.position < source.written
        }
    };
    heartbeats.into_iter().map(source).filter(is_unfinished).collect()
}
