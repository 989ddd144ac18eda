//! Limits on what clients send; `docs/api.md` names each.

use std::time::Duration;

/// Most events of one subject, of any kind: [`crate::event::EventCounts`].
pub const MAX_EVENTS_PER_SUBJECT: usize = 2_000;
/// Most of these from one agency.
pub const MAX_EVENTS_PER_AGENCY: usize = 1_000;
/// Events beyond these two limits that each agency may add: those that restrict, and retractions.
pub const RESERVED_EVENTS_PER_AGENCY: usize = 200;
/// Most events of one subject with the reserves of 15 agencies.
pub const MAX_EVENTS_WITH_RESERVE: usize = 5_000;
/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 10_000_000;
/// Most rows of one body.
pub const MAX_ROWS: usize = 100_000;
/// Longest single event, as JSON, in bytes.
pub const MAX_EVENT_BYTES: usize = 65_536;
/// How far a sender's clock may be ahead of the server's.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Longest event id, in characters.
pub const MAX_EVENT_ID_CHARS: usize = 100;
/// Largest revision: the largest whole number that every JSON reader keeps exactly (RFC 7493 section 2.2), 2^53 - 1.
pub const MAX_REVISION: u64 = (1 << 53) - 1;
/// Longest agency name, in characters.
pub const MAX_AGENCY_CHARS: usize = 32;
/// Longest personal name, in characters.
pub const MAX_NAME_CHARS: usize = 200;
/// Longest explanation of a retraction, in characters.
pub const MAX_WHY_CHARS: usize = 200;
/// Longest code that a scan reads, in characters.
pub const MAX_CODE_CHARS: usize = 1_500;
/// Longest name of a person who works for an agency or a checkpoint.
pub const MAX_OPERATOR_CHARS: usize = 64;
