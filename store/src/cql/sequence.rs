//! Numbers of one sequence of a stream of ours: taken when rows are ready, and told as written only without gaps.

use std::ops::Range;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Watermark;

/// Numbers in flight span no more than this, so that readers know how far from a partition's edge they have to look across it.
pub(super) const SPAN: u64 = 1_000;

/// See the module.
#[derive(Default)]
pub(super) struct Sequence {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    taken: u64,
    written: Watermark,
}

impl Sequence {
    /// Takes the next `count` numbers, at most [`SPAN`]; waits while too many are in flight. They have to be written, whatever comes.
    pub(super) async fn take(&self, count: u64) -> Range<u64> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.taken + count <= state.written.upto() + SPAN {
                    let first = state.taken + 1;
                    state.taken += count;
                    return first..first + count;
                }
            }
            moved.await;
        }
    }

    /// Notes that rows are in the database.
    pub(super) fn written(&self, numbers: Range<u64>) {
        let mut state = self.state.lock();
        numbers.for_each(|number| state.written.add(number));
        drop(state);
        self.moved.notify_waiters();
    }

    /// The highest number taken, and the highest below which every row is written.
    pub(super) fn progress(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.taken, state.written.upto())
    }

    /// Waits until every number taken so far is written.
    pub(super) async fn drained(&self) {
        let taken = self.progress().0;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.progress().1 >= taken {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_told_without_gaps() {
        let sequence = Sequence::default();
        let (a, b, c) = (sequence.take(3).await, sequence.take(1).await, sequence.take(2).await);
        assert_eq!((a.clone(), b.clone(), c.clone()), (1..4, 4..5, 5..7));
        sequence.written(c);
        assert_eq!(sequence.progress(), (6, 0));
        sequence.written(a);
        assert_eq!(sequence.progress(), (6, 3));
        sequence.written(b);
        assert_eq!(sequence.progress(), (6, 6));
        sequence.drained().await;
    }

    #[tokio::test]
    async fn numbers_in_flight_span_no_more_than_the_bound() {
        let sequence = std::sync::Arc::new(Sequence::default());
        let (first, rest) = (sequence.take(1).await, sequence.take(SPAN - 1).await);
        sequence.written(rest);
        let waiting = tokio::spawn({
            let sequence = sequence.clone();
            async move { sequence.take(1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "a number was taken while {first:?} is in flight");
        sequence.written(first);
        assert_eq!(waiting.await.unwrap(), SPAN + 1..SPAN + 2);
    }
}
