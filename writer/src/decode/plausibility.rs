//! Dates and times that cannot be: a birth in the future, an event before its person's birth or before the disease.

use jiff::civil::Date;
use yima_schema::event::EventKind;
use yima_schema::resident_id::EARLIEST_BIRTH;
use yima_schema::subject::Document;
use yima_schema::time::Time;

use super::Context;

/// A day begins first 14 hours east of UTC.
const EASTERNMOST_MINUTES: i16 = 14 * 60;

/// The date of birth that a number contains must have been reached.
pub(super) const NUMBER: &str = "expected a number whose date of birth is not in the future";
/// See [`is_birth_date`].
pub(super) const BORN: &str = "expected a date of birth as YYYY-MM-DD, from 1850 on and not in the future";
const AFTER_BIRTH: &str = "expected a time that is not before the person's birth";

/// Whether a person can be born on a day, or in a month or year that begins with it: from 1850 to today, by the date
/// where it is latest.
pub(super) fn is_birth_date(date: Date, context: Context<'_>) -> bool {
    date >= EARLIEST_BIRTH && date <= context.latest().date_at(EASTERNMOST_MINUTES)
}

/// Whether the date of birth that a document's number contains, if it does, can be one.
pub(super) fn can_be_born(document: &Document, context: Context<'_>) -> bool {
    document.born().is_none_or(|born| is_birth_date(born, context))
}

/// What was expected of the time of an event, if it cannot be true: an event is not before the birth of its person,
/// and a test, dose or decision not before the disease (rules data). A retraction's time may mean nothing.
pub(super) fn implausible(kind: EventKind, at: Time, born: Option<Date>, context: Context<'_>) -> Option<String> {
    let is_of_the_disease = match kind {
        EventKind::Retraction | EventKind::SessionEnd | EventKind::Phone | EventKind::Ward => return None,
        EventKind::Identity | EventKind::Guardianship => false,
        EventKind::TestResult | EventKind::Vaccination | EventKind::ColourAssignment => true,
    };
    let since = context.rules.disease.since;
    if at < Time::start_of(born.unwrap_or(EARLIEST_BIRTH), EASTERNMOST_MINUTES) {
        Some(AFTER_BIRTH.to_owned())
    } else if is_of_the_disease && at < since {
        Some(format!("expected a time after the disease began, {since}"))
    } else {
        None
    }
}
