//! Answers that are at least as fresh as a client demands by the token of an accepted event.

use std::sync::Arc;
use std::time::Duration;

use yima_schema::freshness::Freshness;
use yima_schema::time::Time;
use yima_schema::view::Version;

use super::ViewCache;
use super::lookup::{Answer, LookupError};

/// For an answer that is fresh enough: the client gets it, or a problem, within a second.
const PATIENCE: Duration = Duration::from_millis(900);

impl ViewCache {
    /// The answer about the token's subject, with at least the token's event and at least the version `floor`. In the
    /// token's region the version decides. Elsewhere it waits until that region is followed past the token's moment.
    /// With `bypass` as [`Self::bypass`].
    ///
    /// # Errors
    /// See [`LookupError`]; `BeingUpdated` also when no answer is fresh enough within [`PATIENCE`], whatever the cause.
    pub(crate) async fn get_at_least(
        self: &Arc<Self>,
        token: &Freshness,
        region: &str,
        floor: Version,
        bypass: bool,
    ) -> Result<Answer, LookupError> {
        let answer = async {
            if token.region != region {
                return self.get_past(token, floor, bypass).await;
            }
            let floor = floor.max(token.version);
            if bypass { self.bypass(token.subject, floor).await } else { self.get(token.subject, floor).await }
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error @ (LookupError::Rejected | LookupError::Corrupt))) => Err(error),
            Ok(Err(LookupError::Unavailable | LookupError::BeingUpdated)) | Err(_) => Err(LookupError::BeingUpdated),
        }
    }

    /// The answer after the token's region was followed past its moment. An entry of a generation that has ended may
    /// lack the event, so its `as_of` has to show that it was followed as far.
    async fn get_past(
        self: &Arc<Self>,
        token: &Freshness,
        floor: Version,
        bypass: bool,
    ) -> Result<Answer, LookupError> {
        let waiting = self.outcomes.pending(); // an error if the client's patience ends first
        let least = self.progress.region_passed(&token.region, token.moment).await;
        waiting.discard();
        let is_enough = |answer: &Answer| answer.as_of >= least;
        let now: Time = (self.clock)();
        let in_memory = self.peek(token.subject, floor, now).filter(|answer| !bypass && is_enough(answer));
        let answer = match in_memory {
            Some(answer) => self.record_hit(token.subject, answer, now),
            None => self.bypass(token.subject, floor).await?,
        };
        if is_enough(&answer) { Ok(answer) } else { Err(LookupError::BeingUpdated) }
    }
}
