//! How far the follower in this process has applied the streams. A publication waits for it, so that `accepted` is sent
//! when every answer of this process has the event.

use std::time::Duration;

use tokio::sync::watch;

use crate::StreamId;

/// A follower that takes longer has failed, and its answers carry an `as_of` that says so.
const PATIENCE: Duration = Duration::from_secs(1);

/// Each stream with the number up to which it is applied; empty as long as nobody follows.
#[derive(Default)]
pub(super) struct FollowerProgress(watch::Sender<Vec<(StreamId, u64)>>);

impl FollowerProgress {
    /// Records how far the follower has come.
    pub(super) fn set(&self, through: &[(StreamId, u64)]) {
        self.0.send_replace(through.to_vec());
    }

    /// Waits until the follower, if there is one, has applied a stream up to `number`; at most [`PATIENCE`].
    pub(super) async fn reached(&self, stream: StreamId, number: u64) {
        let mut progress = self.0.subscribe();
        let reached = progress.wait_for(|streams| {
            streams.is_empty() || streams.iter().any(|(id, through)| *id == stream && *through >= number)
        });
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            tracing::warn!(
                stream = stream.0,
                number,
                "the follower has not applied a change in time; it is acknowledged, and answers lack it until then"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const STREAM: StreamId = StreamId(2);

    fn has_reached(progress: &FollowerProgress, number: u64) -> bool {
        progress.reached(STREAM, number).now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_publication_waits_for_the_follower_and_only_as_long_as_there_is_one() {
        let progress = FollowerProgress::default();
        assert!(has_reached(&progress, 1), "nobody follows");
        progress.set(&[(StreamId(1), 9), (STREAM, 4)]);
        assert!(has_reached(&progress, 4) && !has_reached(&progress, 5));
        progress.set(&[(StreamId(1), 9)]);
        assert!(!has_reached(&progress, 1), "a new stream that the follower has not seen yet");
        progress.set(&[]);
        assert!(has_reached(&progress, 5), "the follower has ended");
        progress.set(&[(STREAM, 4)]);
        let began = tokio::time::Instant::now();
        progress.reached(STREAM, 5).await;
        assert_eq!(began.elapsed(), PATIENCE, "the wait is bounded");
    }
}
