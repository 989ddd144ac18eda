//! Marks of sealed streams, and the positions up to which they are folded.

use std::collections::BTreeSet;

use async_trait::async_trait;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_store::{Mark, MarkFeed, Place, Result, Source, StreamId};

use super::{CqlModel, REGION, name_key};
use crate::chance;

impl CqlModel {
    /// Notes that the folds of these marks are published.
    pub(super) async fn settle_marks(&self, marks: &[Mark]) -> Result<()> {
        let mut finished = Vec::new();
        for mark in marks {
            if let Some(local) = self.local.lock().get(&mark.stream) {
                local.settled.lock().add(mark.number);
                continue;
            }
            let mut unsettled = self.unsettled.lock();
            let Some((last, numbers)) = unsettled.get_mut(&mark.stream) else { continue };
            numbers.remove(&mark.number);
            if numbers.is_empty() {
                finished.push((mark.stream, *last));
                unsettled.remove(&mark.stream);
            }
        }
        for (stream, last) in finished {
            self.save_position(stream, last, (self.clock)()).await?;
        }
        Ok(())
    }

    async fn save_position(&self, stream: StreamId, position: u64, as_of: Time) -> Result<()> {
        self.database.positions.write(&self.process, stream, (position, as_of)).await
    }

    /// The marks of sealed streams above their positions.
    pub(super) async fn unsettled_marks(&self) -> Result<Vec<(Mark, SubjectId)>> {
        let mut found = Vec::new();
        for source in self.sources().await? {
            let rows = self.marks(&source, Place::Here, source.position, usize::MAX).await?;
            let mut numbers = BTreeSet::new();
            for (number, name) in rows.into_iter().filter(|(number, _)| *number <= source.written) {
                if let Some(name) = name {
                    numbers.insert(number);
                    found.push((Mark { stream: source.stream, number }, name.subject));
                }
            }
            if numbers.is_empty() {
                self.save_position(source.stream, source.written, (self.clock)()).await?;
            } else {
                self.unsettled.lock().insert(source.stream, (source.written, numbers));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl MarkFeed for CqlModel {
    async fn sources(&self) -> Result<Vec<Source>> {
        let heartbeats = self.heartbeats().await?;
        let all = StreamId(0)..=StreamId(u32::MAX);
        let positions = self.database.positions.read(&self.process, all, usize::MAX).await?;
        let mut sources = Vec::new();
        for (stream, beat) in heartbeats {
            let saved = positions.iter().find(|(id, _)| *id == stream).map(|(_, position)| *position);
            let (number, settled_as_of) = saved.unwrap_or((0, Time::MIN));
            let source = Source {
                region: REGION.to_owned(),
                stream,
                position: number.max(beat.marks_settled),
                settled_as_of,
                missed: false,
                written: beat.marks_written,
                open: !beat.closed,
                taken: beat.marks_written,
                as_of: Time::MIN,
            };
            if !source.open && source.position < source.written {
                sources.push(source);
            }
        }
        Ok(sources)
    }

    /// Two writers that both follow a stream do the same work twice.
    async fn lease(&self, _source: &Source) -> Result<bool> {
        self.process.send().await?;
        self.process.receive().await?;
        Ok(!chance::one_in(8))
    }

    async fn marks(
        &self,
        source: &Source,
        _place: Place,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<EventName>)>> {
        let range = (source.stream, after.saturating_add(1))..=(source.stream, u64::MAX);
        let rows = self.database.marks.read(&self.process, range, limit).await?;
        Ok(rows.into_iter().map(|((_, number), name)| (number, name)).collect())
    }

    async fn arrived(&self, events: &[EventName]) -> Result<Vec<bool>> {
        let mut arrived = Vec::with_capacity(events.len());
        for name in events {
            arrived.push(self.database.events.get(&self.process, name_key(name)).await?.is_some());
        }
        Ok(arrived)
    }

    async fn fetch(&self, _source: &Source, events: &[EventName]) -> Result<Vec<bool>> {
        self.arrived(events).await
    }

    async fn settle(&self, source: &Source, position: u64, as_of: Time) -> Result<()> {
        self.save_position(source.stream, position, as_of).await
    }

    async fn missed(&self, _source: &Source) -> Result<()> {
        Ok(())
    }

    async fn seal_dead_streams(&self) -> Result<usize> {
        self.seal_dead().await
    }
}
