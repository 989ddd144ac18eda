//! The numbers of one sequence of a local stream: taken when rows are ready, reported as written only without gaps.

use std::ops::Range;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Watermark;

/// Numbers in flight span no more than this, so that readers know how near a segment's edge they have to read the next
/// one.
pub(super) const SPAN: u64 = 1_000;

/// Hands out numbers, and knows which are written.
#[derive(Default)]
pub(super) struct Sequence {
    state: Mutex<State>,
    progressed: Notify,
}

#[derive(Default)]
struct State {
    taken: u64,
    written: Watermark,
}

impl Sequence {
    /// Takes the next `count` numbers, at most [`SPAN`]; waits while too many are in flight. The caller has to write
    /// all of them: a number that is never written holds up every later one.
    pub(super) async fn take(&self, count: u64) -> Range<u64> {
        loop {
            let progressed = self.progressed.notified();
            tokio::pin!(progressed);
            progressed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.taken + count <= state.written.upto() + SPAN {
                    let first = state.taken + 1;
                    state.taken += count;
                    return first..first + count;
                }
            }
            progressed.await;
        }
    }

    /// Notes that rows are in the database.
    pub(super) fn written(&self, numbers: Range<u64>) {
        let mut state = self.state.lock();
        numbers.for_each(|number| state.written.add(number));
        drop(state);
        self.progressed.notify_waiters();
    }

    /// The highest number taken, and the highest up to which every row is written.
    pub(super) fn progress(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.taken, state.written.upto())
    }

    /// Waits until every number taken so far is written.
    pub(super) async fn drained(&self) {
        let taken = self.progress().0;
        loop {
            let progressed = self.progressed.notified();
            tokio::pin!(progressed);
            progressed.as_mut().enable();
            if self.progress().1 >= taken {
                return;
            }
            progressed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn written_numbers_are_reported_without_gaps() {
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
    async fn numbers_in_flight_never_exceed_the_span() {
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
