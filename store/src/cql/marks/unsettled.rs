//! Marks that dead writers of this region left unsettled: their successor folds and publishes their subjects at its
//! start.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;

use crate::cql::Inner;
use crate::cql::log::log_segments::LogTable;
use crate::{Mark, Result, StoreError, StreamId};

/// Marks of sealed streams that [`crate::WriterStore::unsettled`] returned and that are not settled yet.
#[derive(Default)]
pub(in crate::cql) struct UnsettledMarks {
    streams: Mutex<BTreeMap<StreamId, UnsettledStream>>,
}

struct UnsettledStream {
    /// The stream's last mark.
    last: u64,
    numbers: BTreeSet<u64>,
}

impl UnsettledMarks {
    fn insert(&self, stream: StreamId, last: u64, numbers: BTreeSet<u64>) {
        self.streams.lock().insert(stream, UnsettledStream { last, numbers });
    }

    /// Removes a settled mark. When it was the stream's only one left, returns the stream's last mark: up to there
    /// everything is settled.
    fn settle(&self, mark: Mark) -> Option<u64> {
        let mut streams = self.streams.lock();
        let stream = streams.get_mut(&mark.stream)?;
        stream.numbers.remove(&mark.number);
        if !stream.numbers.is_empty() {
            return None;
        }
        streams.remove(&mark.stream).map(|stream| stream.last)
    }
}

impl Inner {
    /// Notes that the folds of these marks are published. Those of local streams are reported by the next heartbeat,
    /// those of a sealed stream by its position, once the last of them is settled.
    pub(in crate::cql) async fn settle(&self, marks: &[Mark]) -> Result<()> {
        let mut finished = Vec::new();
        for mark in marks {
            if let Some(stream) = self.local_streams.lookup(mark.stream) {
                stream.settle(mark.number);
            } else if let Some(last) = self.unsettled_marks.settle(*mark) {
                finished.push((mark.stream, last));
            }
        }
        for (stream, last) in finished {
            self.save_position(&self.own_region_stream(stream), last, (self.options.clock)()).await?;
        }
        Ok(())
    }

    /// See [`crate::WriterStore::unsettled`]: the marks of this region's sealed streams above their positions.
    pub(in crate::cql) async fn unsettled(&self) -> Result<Vec<(Mark, SubjectId)>> {
        const PAGE_ROWS: usize = 1_000;
        let corrupt = |e: yima_schema::DecodeError| StoreError::Corrupt { table: "marks", what: e.to_string() };
        let mut found = Vec::new();
        for source in self.own_sources().await? {
            let (mut after, mut numbers) = (source.position, BTreeSet::new());
            let stream = self.own_region_stream(source.stream);
            while after < source.written {
                let rows = self.read_rows(LogTable::Marks, &stream, after, PAGE_ROWS).await?;
                let Some((last, _)) = rows.last() else { break };
                after = *last;
                for (number, body) in rows.into_iter().filter(|(_, body)| !body.is_empty()) {
                    let name = EventName::decode(&body).map_err(corrupt)?;
                    numbers.insert(number);
                    found.push((Mark { stream: source.stream, number }, name.subject));
                }
            }
            if numbers.is_empty() {
                self.save_position(&stream, source.written, (self.options.clock)()).await?;
            } else {
                self.unsettled_marks.insert(source.stream, source.written, numbers);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_finished_with_its_last_unsettled_mark() {
        let (marks, stream) = (UnsettledMarks::default(), StreamId(3));
        let mark = |number| Mark { stream, number };
        marks.insert(stream, 9, [4, 7].into());
        assert_eq!(marks.settle(mark(7)), None);
        assert_eq!(marks.settle(mark(7)), None);
        assert_eq!(marks.settle(Mark { stream: StreamId(4), number: 4 }), None);
        assert_eq!(marks.settle(mark(4)), Some(9));
        assert_eq!(marks.settle(mark(4)), None);
    }
}
