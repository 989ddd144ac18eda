//! Following marks: those of other regions, and those that this region's dead writers left.

use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use yima_schema::event::StoredEvent;
use yima_schema::mark::EventName;
use yima_schema::time::Time;

use super::fault::fault;
use super::log_segments::{Table, elsewhere};
use super::positions::Position;
use super::reading::CONCURRENT;
use super::statements::ttl;
use super::{CqlStore, Inner, StreamOf, was_applied};
use crate::{MarkFeed, Place, Result, Source, StoreError, StreamId};

#[async_trait]
impl MarkFeed for CqlStore {
    async fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = self.inner.sources_of(&self.inner.options.region).await?;
        for (region, _) in self.inner.other_regions().await? {
            sources.extend(self.inner.sources_of(&region).await?);
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
        let rows = self.inner.read_rows_at(datacenter.as_deref(), Table::Marks, &of(source), after, limit).await?;
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
        stream::iter(reads).buffered(CONCURRENT).map_ok(|event| event.is_some()).try_collect().await
    }

    async fn fetch(&self, source: &Source, events: &[EventName]) -> Result<Vec<bool>> {
        let Some(datacenter) = self.inner.datacenter_of(&source.region).await? else {
            return self.arrived(events).await;
        };
        let inner = &*self.inner;
        let fetches: Vec<_> = events.iter().map(|name| inner.fetch(name, &datacenter)).collect();
        stream::iter(fetches).buffered(CONCURRENT).try_collect().await
    }

    async fn settle(&self, source: &Source, position: u64, as_of: Time) -> Result<()> {
        self.inner.save_position(&of(source), position, as_of).await
    }

    async fn missed(&self, source: &Source) -> Result<()> {
        self.inner.note_missed(&of(source)).await
    }

    async fn close_dead(&self) -> Result<usize> {
        self.inner.close_dead().await
    }
}

fn of(source: &Source) -> StreamOf {
    StreamOf { region: source.region.clone(), stream: source.stream }
}

impl Inner {
    /// A region's streams that are not followed to their end. Of this region only closed ones: open ones have writers that fold for
    /// themselves.
    pub(super) async fn sources_of(&self, region: &str) -> Result<Vec<Source>> {
        let ours = region == self.options.region;
        let (beats, positions) = self.followed(region).await?;
        let source = |(stream, beat): (StreamId, super::heartbeat::Heartbeat)| {
            let settled = if ours { beat.marks_settled } else { 0 };
            let Position { number, as_of: settled_as_of, missed } = positions.get(&stream).copied().unwrap_or_default();
            Source {
                region: region.to_owned(),
                stream,
                position: number.max(settled),
                settled_as_of,
                missed,
                written: beat.marks_written,
                open: !beat.closed,
                taken: beat.marks_taken,
                as_of: beat.at,
            }
        };
        let unfinished = |source: &Source| {
            let known = positions.contains_key(&source.stream);
            if ours {
                !source.open && source.position < source.written
            } else {
                source.open || !known || source.position < source.written
            }
        };
        Ok(beats.into_iter().map(source).filter(unfinished).collect())
    }

    /// Another region's datacenter; `None` for this one's.
    pub(super) async fn datacenter_of(&self, region: &str) -> Result<Option<String>> {
        Ok(self.other_regions().await?.into_iter().find(|(name, _)| name == region).map(|(_, datacenter)| datacenter))
    }

    /// One event, as this datacenter or another one has it.
    pub(super) async fn event(&self, name: &EventName, datacenter: Option<&str>) -> Result<Option<StoredEvent>> {
        let corrupt = |what: String| StoreError::Corrupt { table: "events", what };
        let here = &self.statements.events.event;
        let statement = datacenter.map_or_else(|| here.clone(), |datacenter| elsewhere(here, datacenter));
        let asked = (&name.subject.as_bytes()[..], &name.agency, &name.id, name.revision as i64, &name.hash.0[..]);
        let found = self.session.execute_unpaged(&statement, asked).await.map_err(|e| fault("events", &e))?;
        let rows = found.into_rows_result().map_err(|_| corrupt("a row".into()))?;
        let row = rows.maybe_first_row::<(Vec<u8>,)>().map_err(|_| corrupt("a column".into()))?;
        row.map(|(event,)| StoredEvent::decode(&event).map_err(|e| corrupt(e.to_string()))).transpose()
    }

    /// Reads one event in another datacenter and keeps it here; whether it is there.
    async fn fetch(&self, name: &EventName, datacenter: &str) -> Result<bool> {
        let Some(event) = self.event(name, Some(datacenter)).await? else { return Ok(false) };
        self.insert_event(&event).await?;
        Ok(true)
    }

    /// Takes a lease, or renews it when a third of it is over; one that has ended meanwhile is taken anew, if nobody else has it.
    pub(super) async fn lease(&self, name: String) -> Result<bool> {
        let (held, begun) = (self.leases.lock().get(&name).copied(), Instant::now());
        if held.is_some_and(|since| since.elapsed() < self.options.lease / 3) {
            return Ok(true);
        }
        // Without an answer it may be ours for a while and not be used: work waits for it to end.
        self.leases.lock().remove(&name);
        let (lasts, owner) = (ttl(self.options.lease), &self.owner[..]);
        let statements = &self.statements;
        let renewed = match held {
            Some(_) => self.cas_lease(&statements.tasks.renew_lease, (lasts, owner, &name, owner)).await?,
            None => false,
        };
        let taken = renewed || self.cas_lease(&statements.tasks.take_lease, (&name, owner, lasts)).await?;
        if taken {
            self.leases.lock().insert(name, begun);
        }
        Ok(taken)
    }

    async fn cas_lease(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<bool> {
        let set = self.session.execute_unpaged(statement, values).await.map_err(|e| fault("leases", &e))?;
        was_applied("leases", set)
    }

    /// Gives a lease back before its time. What is not known to be given back ends by itself.
    pub(super) async fn give_back(&self, name: &str) -> Result<()> {
        if self.leases.lock().remove(name).is_none() {
            return Ok(());
        }
        let given = self.session.execute_unpaged(&self.statements.tasks.give_back_lease, (name, &self.owner[..])).await;
        given.map(drop).map_err(|e| fault("leases", &e))
    }
}
