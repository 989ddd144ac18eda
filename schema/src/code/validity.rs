//! When a token is valid, and when the code that shows it is current.

use std::time::Duration;

use super::CodeError;
use crate::time::Time;

/// The grain of the times in a token that is shown for hours, so that none identifies its phone.
pub(super) const QUARTER: Duration = Duration::from_secs(900);
/// The span of time (since 1970, UTC) within which a token with a phone's key begins and ends. Its denial tag is of it.
pub const SLOT: Duration = Duration::from_secs(6 * 3_600);
/// The longest life of a token, from its issue.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// The longest life of a printed token.
pub const MAX_PAPER_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a code of a phone is current after the moment that it was shown, for a scanner without a network.
pub const MAX_PROOF_AGE: Duration = Duration::from_secs(60);
/// How far a phone's clock, or the clock of another node, may be ahead.
pub const MAX_AHEAD: Duration = Duration::from_secs(30);

/// The times of a token: whole seconds; with a phone's key whole quarters of an hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// When the token was issued, rounded down.
    pub issued_at: Time,
    /// The first moment at which it can be shown.
    pub valid_from: Time,
    /// The first moment at which it can be shown no more.
    pub expires_at: Time,
}

impl Validity {
    /// Of a code without a phone's key, which is shown or printed at once.
    pub fn of_bare(now: Time, lifetime: Duration) -> Self {
        let issued_at = Time::from_secs(now.as_secs());
        Self { issued_at, valid_from: issued_at, expires_at: issued_at.plus(lifetime) }
    }

    /// Of a batch of tokens for one phone, issued `now`: one behind the other from now on, each within one slot, none
    /// after `lifetime` (at most [`MAX_TOKEN_LIFETIME`]).
    pub fn of_batch(now: Time, lifetime: Duration, count: usize) -> Vec<Self> {
        let issued_at = floor(now, QUARTER);
        let end = floor(issued_at.plus(lifetime.min(MAX_TOKEN_LIFETIME)), QUARTER);
        let first = floor(now, SLOT);
        let slots = (0..).map(|n| first.plus(SLOT * n));
        let windows = slots.map(|start| (start.max(issued_at), start.plus(SLOT).min(end)));
        let windows = windows.take_while(|(from, until)| from < until).take(count);
        windows.map(|(valid_from, expires_at)| Self { issued_at, valid_from, expires_at }).collect()
    }

    /// The quarter of an hour of a moment: its first second.
    pub fn quarter(time: Time) -> Time {
        floor(time, QUARTER)
    }

    /// The slot of the token's denial tag: whole slots since 1970.
    pub fn slot(&self) -> i64 {
        self.valid_from.as_secs().div_euclid(SLOT.as_secs() as i64)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.issued_at <= self.valid_from && self.valid_from < self.expires_at
    }

    /// Whether a code is current that was shown at `shown_at`, by a phone with a key, and is scanned `now`.
    ///
    /// # Errors
    /// From the future, expired, or shown too long ago, in that order.
    pub fn check(&self, shown_at: Option<Time>, now: Time, max_proof_age: Duration) -> Result<(), CodeError> {
        let at = shown_at.unwrap_or(now);
        if at > now.plus(MAX_AHEAD) || at.plus(MAX_AHEAD) < self.valid_from {
            return Err(CodeError::NotYetValid);
        }
        if at >= self.expires_at {
            return Err(CodeError::Expired);
        }
        if now.since(at) > max_proof_age {
            return Err(CodeError::StaleProof);
        }
        Ok(())
    }
}

fn floor(time: Time, grain: Duration) -> Time {
    let grain = grain.as_secs() as i64;
    Time::from_secs(time.as_secs().div_euclid(grain) * grain)
}
