//! Streams: a group's operations on them, and the registry at start.

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::PersistMode;
use yima_schema::change::Change;
use yima_schema::time::Time;

use super::group_commit::{Group, Numbers};
use super::identity::NEXT_STREAM;
use super::keys::{self, Stream};
use super::known_events::LargeSubjects;
use super::tables::Tables;
use super::unsettled::UnsettledMarks;
use crate::{Mark, Result, StreamId, StreamState};

impl Group<'_> {
    /// [`crate::WriterStore::open_stream`].
    pub(super) fn open_stream(&mut self) -> StreamId {
        let id = StreamId(self.numbers.stream);
        self.numbers.stream += 1;
        self.rows.insert(self.tables.meta.keyspace(), NEXT_STREAM, self.numbers.stream.to_be_bytes());
        self.set_stream(Stream { state: StreamState { id, last: 0, open: true }, first: 1 });
        id
    }

    /// [`crate::WriterStore::publish`]; returns the stream's last number, `None` if it is sealed.
    pub(super) fn publish(&mut self, id: StreamId, changes: &[Change], marks: &[Mark]) -> Option<u64> {
        let stream = Arc::make_mut(&mut self.numbers.streams).get_mut(&id).filter(|s| s.state.open)?;
        for change in changes {
            stream.state.last += 1;
            let row = [&self.now.as_millis().to_be_bytes()[..], &change.encode()].concat();
            self.rows.insert(self.tables.changes.keyspace(), keys::change(id, stream.state.last), row);
        }
        let last = stream.state.last;
        for mark in marks {
            self.rows.remove(self.tables.marks.keyspace(), mark.number.to_be_bytes());
            self.settled.push(mark.number);
        }
        Some(last)
    }

    /// [`crate::WriterStore::close_stream`].
    pub(super) fn close_stream(&mut self, id: StreamId) {
        if let Some(stream) = self.numbers.streams.get(&id).copied().filter(|s| s.state.open) {
            self.set_stream(Stream { state: StreamState { open: false, ..stream.state }, ..stream });
        }
    }

    /// Removes up to `limit` rows written at or before `until`, lowest numbers of each stream first, and returns their
    /// number.
    pub(super) fn trim(&mut self, until: Time, limit: usize) -> Result<usize> {
        let mut removed = 0;
        for mut stream in self.numbers.streams.values().copied().collect::<Vec<_>>() {
            let before = stream.first;
            let id = stream.state.id;
            let rows = self.tables.changes.range(keys::change(id, stream.first)..=keys::change(id, u64::MAX));
            for row in rows.take(limit - removed) {
                let (key, row) = row?;
                let (written_at, _) = keys::split_change(&row).ok_or_else(|| self.tables.changes.corrupt("a time"))?;
                if written_at > until {
                    break;
                }
                stream.first = keys::change_number(&key).ok_or_else(|| self.tables.changes.corrupt("a key"))? + 1;
                self.rows.remove(self.tables.changes.keyspace(), key);
                removed += 1;
            }
            if stream.first != before {
                self.set_stream(stream);
            }
        }
        Ok(removed)
    }

    /// Writes a stream's state; a sealed stream without rows leaves the registry.
    fn set_stream(&mut self, stream: Stream) {
        let table = self.tables.streams.keyspace();
        let streams = Arc::make_mut(&mut self.numbers.streams);
        let StreamState { id, last, open } = stream.state;
        if open || stream.first <= last {
            streams.insert(id, stream);
            self.rows.insert(table, id.0.to_be_bytes(), keys::encode_stream(&stream));
        } else {
            streams.remove(&id);
            self.rows.remove(table, id.0.to_be_bytes());
        }
    }
}

/// Finds the next numbers, and seals every stream that the previous process left open: it has ended, or it would hold
/// the directory's lock.
pub(super) fn recover(tables: &Tables) -> Result<Numbers> {
    let mut streams = BTreeMap::new();
    for row in tables.streams.prefix(&[]) {
        let (key, row) = row?;
        let mut stream = keys::decode_stream(&key, &row).ok_or_else(|| tables.streams.corrupt("a state"))?;
        let state = &mut stream.state;
        if let Some((key, _)) = tables.changes.last(&state.id.0.to_be_bytes())? {
            state.last = state.last.max(keys::change_number(&key).ok_or_else(|| tables.changes.corrupt("a key"))?);
        }
        streams.insert(state.id, stream);
    }
    let mark = match tables.marks.last(&[])? {
        None => 1,
        Some((key, row)) => keys::decode_mark(&key, &row).ok_or_else(|| tables.marks.corrupt("a mark"))?.0.number + 1,
    };
    let stream = match tables.meta.get(NEXT_STREAM)? {
        None => 1,
        Some(next) => u32::from_be_bytes(next.as_ref().try_into().map_err(|_| tables.meta.corrupt("a number"))?),
    };
    let left_open: Vec<_> = streams.values().filter(|s| s.state.open).map(|s| s.state.id).collect();
    let (numbers, none_owed, large) =
        (Numbers { mark, stream, streams: Arc::new(streams) }, UnsettledMarks::default(), LargeSubjects::default());
    let mut group = Group::new(tables, numbers, &none_owed, &large);
    for id in left_open {
        group.close_stream(id);
    }
    group.rows = group.rows.durability(Some(PersistMode::SyncAll));
    Ok(group.commit().map_err(|e| tables.streams.error(&e))?.numbers)
}
