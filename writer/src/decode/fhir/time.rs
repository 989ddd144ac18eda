//! FHIR dates and times.

use jiff::civil::{Date, DateTime};
use serde_json::Value;
use yima_schema::time::{DAY, Time};

use super::{Context, RowError, invalid, text};

/// The FHIR dateTime or date at `pointer`.
pub(super) fn time_at(resource: &Value, pointer: &str, context: Context<'_>) -> Option<Time> {
    date_time(text(resource, pointer)?, context)
}

/// A FHIR dateTime or date; a date is the first moment of its day, month or year, in the agency's time zone.
pub(super) fn date_time(text: &str, context: Context<'_>) -> Option<Time> {
    if text.contains('T') {
        return text.parse().ok();
    }
    let start = DateTime::from_parts(first_day(text)?, jiff::civil::Time::midnight());
    Some(Time::from_secs(start.to_zoned(context.zone.clone()).ok()?.timestamp().as_second()))
}

/// The first day of a FHIR date: of a day, month or year.
pub(super) fn first_day(text: &str) -> Option<Date> {
    // By length: the parser would accept a time after a space, and ignore its offset.
    let date = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => return None,
    };
    date.parse().ok()
}

/// The latest moment that a FHIR dateTime or date read as `time` may mean: a date can mean any moment of its day, month
/// or year.
pub(super) fn latest_meant(text: &str, time: Time) -> Time {
    let days = match text.len() {
        4 => 366,
        7 => 31,
        10 => 1,
        _ => 0,
    };
    time.plus(DAY * days)
}

/// # Errors
/// A time in the future, by more than clocks may differ.
pub(super) fn not_in_the_future(pointer: &str, time: Time, context: Context<'_>) -> Result<(), RowError> {
    if time > context.latest() { Err(invalid(pointer, "expected a time that is not in the future")) } else { Ok(()) }
}
