//! Hints: what a writer tells the read nodes of its region as soon as it has published, so that they read its stream
//! before their next poll. Sealed in both directions by keys that only the services of this system can derive. A hint
//! proves nothing: one that is lost, late, repeated or forged changes when a stream is read, and nothing else.

use crate::seal::{OVERHEAD_BYTES, SealKeys};
use crate::subject::PseudonymKey;

/// The writer's route: the body is [`HintKeys::seal_request`], the answer an endless row of sealed hints.
pub const ROUTE: &str = "/internal/v1/hints";
/// Length of a sealed hint.
pub const HINT_BYTES: usize = OVERHEAD_BYTES + size_of::<u32>();
/// In place of a stream's number, which is at least 1: nothing was published; the connection lives.
pub const NOTHING: u32 = 0;

/// The keys of both directions.
pub struct HintKeys {
    requests: SealKeys,
    hints: SealKeys,
}

impl HintKeys {
    /// Derives the keys.
    pub fn new(pseudonyms: &PseudonymKey) -> Self {
        Self { requests: pseudonyms.seal_keys("request for hints"), hints: pseudonyms.seal_keys("hint") }
    }

    /// The body by which a read node asks for hints.
    pub fn seal_request(&self) -> Vec<u8> {
        self.requests.seal(&[])
    }

    /// Whether a service of this system sealed a request.
    pub fn is_request(&self, sealed: &[u8]) -> bool {
        self.requests.open(&mut sealed.to_vec()).is_ok()
    }

    /// Seals a hint at the stream of this number, or [`NOTHING`].
    pub fn seal(&self, stream: u32) -> Vec<u8> {
        self.hints.seal(&stream.to_be_bytes())
    }

    /// Opens a hint; `None` if no service of this system sealed it.
    pub fn open(&self, sealed: &[u8]) -> Option<u32> {
        let mut buffer = <[u8; HINT_BYTES]>::try_from(sealed).ok()?;
        let stream = self.hints.open(&mut buffer).ok()?;
        Some(u32::from_be_bytes(stream.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_hints_open_only_with_the_same_key_in_their_own_direction() {
        let keys = |secret| HintKeys::new(&PseudonymKey::from_bytes(&[secret; 32]));
        let (request, hint) = (keys(7).seal_request(), keys(7).seal(9));
        assert!(keys(7).is_request(&request) && !keys(8).is_request(&request) && !keys(7).is_request(&hint));
        assert_eq!((hint.len(), keys(7).open(&hint)), (HINT_BYTES, Some(9)));
        let mut altered = hint.clone();
        altered[HINT_BYTES - 1] ^= 1;
        for not_a_hint in [&altered[..], &hint[1..], &request, &[]] {
            assert_eq!(keys(7).open(not_a_hint), None);
        }
        assert_eq!(keys(8).open(&hint), None);
    }
}
