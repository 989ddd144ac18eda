//! FHIR dates and times.

use jiff::civil::{Date, DateTime};
use serde_json::Value;
use yima_schema::time::Time;

use super::{Context, RowError, invalid, text};

/// The FHIR dateTime or date at `pointer`.
pub(super) fn time_at(resource: &Value, pointer: &str, context: Context<'_>) -> Option<Time> {
    date_time(text(resource, pointer)?, context)
}

/// A FHIR dateTime or date; a date is the first moment of its day, month or year, at the configured offset from UTC.
pub(super) fn date_time(text: &str, context: Context<'_>) -> Option<Time> {
    if text.contains('T') {
        return text.parse().ok();
    }
    // By length: the parser would accept a time after a space, and ignore its offset.
    let date: Date = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => return None,
    }
    .parse()
    .ok()?;
    let start = DateTime::from_parts(date, jiff::civil::Time::midnight());
    let utc = start.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Time::from_secs(utc - i64::from(context.date_offset_minutes) * 60))
}

/// # Errors
/// A time in the future, by more than clocks may differ.
pub(super) fn not_in_the_future(pointer: &str, time: Time, context: Context<'_>) -> Result<(), RowError> {
    if time > context.latest() { Err(invalid(pointer, "expected a time that is not in the future")) } else { Ok(()) }
}
