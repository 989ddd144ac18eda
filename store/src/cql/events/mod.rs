//! Events: appends, and reads.

mod append;
mod read;

use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;

const TABLE: &str = "events";

/// Events of one subject that are read at most. Only concurrent appends in several places can make more than
/// [`MAX_EVENTS_PER_SUBJECT`].
pub(super) const READ_EVENTS: i32 = 4 * MAX_EVENTS_PER_SUBJECT as i32;
