//! The saved state of the disk tier: which region's views it has, and the positions up to which it has followed the
//! feed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cache::generations::Generations;

/// Raised when the encoding of rows or state changes; a directory of another format is emptied.
const FORMAT: u8 = 1;

/// Region and pseudonym key of the views in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The region.
    pub region: String,
    /// The fingerprint of the pseudonym key that its subject ids are made with.
    pub pseudonyms: [u8; 16],
}

/// The position in a stream: every change up to `number` has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The highest number without a gap before it.
    pub number: u64,
    /// Whether the stream was open when the registry was last read.
    pub open: bool,
    /// The stream's last number when the registry was last read.
    pub last: u64,
}

/// How far the feed has been followed: every change up to these positions is in the rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The epoch of the store at that time.
    pub epoch: u16,
    /// The generations as of the last complete poll.
    pub generations: Generations,
    /// The position in each stream, by its number.
    pub positions: BTreeMap<u32, Position>,
}

pub(super) fn encode(identity: &Identity, state: &State) -> Vec<u8> {
    postcard::to_extend(&(identity, state), vec![FORMAT]).expect("numbers and a name always encode")
}

/// `None` for bytes of another format, or damaged ones.
pub(super) fn decode(row: &[u8]) -> Option<(Identity, State)> {
    let (format, body) = row.split_first()?;
    if *format == FORMAT { postcard::from_bytes(body).ok() } else { None }
}
