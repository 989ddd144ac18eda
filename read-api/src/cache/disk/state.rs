//! What the tier knows of itself: whose it is, and how far it has followed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cache::generations::Generations;

/// Raised when rows or state are written in another way; another format's directory is emptied.
const FORMAT: u8 = 1;

/// Whose views a directory holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The region.
    pub region: String,
    /// The fingerprint of the pseudonym key, under which its subjects are known.
    pub pseudonyms: [u8; 16],
}

/// How far a stream has been read: everything up to `number`, of which nothing is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// See there.
    pub number: u64,
    /// As the registry last showed it.
    pub open: bool,
    /// Likewise.
    pub last: u64,
}

/// How far everything that was told is in the rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The epoch of the store when it was followed.
    pub epoch: u16,
    /// The generations, with the last complete poll.
    pub generations: Generations,
    /// How far each stream has been read, by its number.
    pub positions: BTreeMap<u32, Position>,
}

pub(super) fn encode(identity: &Identity, state: &State) -> Vec<u8> {
    postcard::to_extend(&(identity, state), vec![FORMAT]).expect("numbers and a name always encode")
}

/// `None` for what is neither, or of another format.
pub(super) fn decode(row: &[u8]) -> Option<(Identity, State)> {
    let (format, body) = row.split_first()?;
    if *format == FORMAT { postcard::from_bytes(body).ok() } else { None }
}
