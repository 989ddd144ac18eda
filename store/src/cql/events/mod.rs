//! Events: appends, and reads.

mod append;
pub(super) mod permits;
mod read;

use yima_schema::limits::MAX_EVENTS_WITH_RESERVE;

const TABLE: &str = "events";

/// Events of one subject that are read at most. Concurrent appends in several places can make more than
/// [`MAX_EVENTS_WITH_RESERVE`]: each process by [`permits::EVENTS`], and each region by as many as it takes while it
/// does not see the others'. So 15,000 would need three regions that are cut off from each other.
pub(super) const READ_EVENTS: i32 = 3 * MAX_EVENTS_WITH_RESERVE as i32;
