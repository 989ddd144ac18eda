//! Tickets: the time of a place in line, sealed for one room and one holder.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yima_schema::seal::{OVERHEAD_BYTES, SealKeys};
use yima_schema::time::Time;

/// Bytes of a time in milliseconds.
const TIME_BYTES: usize = 8;

/// Makes and opens the tickets of one room.
pub(super) struct Tickets {
    room: &'static str,
    keys: SealKeys,
}

impl Tickets {
    pub(super) fn new(room: &'static str, keys: SealKeys) -> Self {
        Self { room, keys }
    }

    /// base64url.
    pub(super) fn seal(&self, due: Time, holder: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.keys.seal_beside(&due.as_millis().to_be_bytes(), &self.beside(holder)))
    }

    /// The time of a genuine ticket of this room and holder.
    pub(super) fn open(&self, ticket: &[u8], holder: &[u8]) -> Option<Time> {
        // The decoder wants room for whole groups of three bytes.
        let mut sealed = [0; OVERHEAD_BYTES + TIME_BYTES + 2];
        let length = URL_SAFE_NO_PAD.decode_slice(ticket, &mut sealed).ok()?;
        let plain = self.keys.open_beside(sealed.get_mut(..length)?, &self.beside(holder)).ok()?;
        Some(Time::from_millis(i64::from_be_bytes(plain.try_into().ok()?)))
    }

    /// What a ticket does not contain and counts for alone.
    fn beside(&self, holder: &[u8]) -> Vec<u8> {
        [self.room.as_bytes(), &[0], holder].concat()
    }
}
