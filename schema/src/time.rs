//! Moments in time: milliseconds since 1970-01-01T00:00:00Z, RFC 3339 at the edge.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A moment in milliseconds since the Unix epoch. Serialised as RFC 3339 UTC in text formats, as an integer in binary
/// ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(i64);

/// One hour.
pub const HOUR: Duration = Duration::from_secs(3600);
/// One day of 24 hours.
pub const DAY: Duration = Duration::from_secs(86_400);

impl Time {
    /// The earliest moment that RFC 3339 can write: year 0001.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The latest moment that RFC 3339 can write: the end of year 9999.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since the epoch, clamped to `MIN..=MAX`.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// From seconds since the epoch, clamped to `MIN..=MAX`.
    pub fn from_secs(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Days since the epoch, rounded down (UTC days).
    pub fn utc_day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// The moment `by` later, clamped to `MAX`.
    pub fn plus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment `by` earlier, clamped to `MIN`.
    pub fn minus(self, by: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time elapsed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `from_millis` clamps to the range of `Timestamp`, so this cannot fail.
        let t = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        if self.0.rem_euclid(1000) == 0 { write!(f, "{t:.0}") } else { write!(f, "{t:.3}") }
    }
}

/// The text is no RFC 3339 time with an offset.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a time as RFC 3339 writes it, with an offset, such as 2026-11-22T07:30:00Z")]
pub struct TimeError;

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(s: &str) -> Result<Self, TimeError> {
        let t: Timestamp = s.parse().map_err(|_| TimeError)?;
        let ms = t.as_millisecond();
        if (Self::MIN.0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(TimeError) }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            Ok(Self::from_millis(i64::deserialize(d)?))
        }
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(Some("RFC 3339, UTC")).into()
    }
}

impl ToSchema for Time {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips_and_needs_an_offset() {
        for text in ["2026-11-22T07:30:00Z", "1951-02-20T13:15:54Z", "2026-11-22T07:30:00.250Z"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("2020-05-16T05:15:06-04:00".parse::<Time>().unwrap().to_string(), "2020-05-16T09:15:06Z");
        assert_eq!("2026-11-22T07:30:00".parse::<Time>(), Err(TimeError));
        assert_eq!("yesterday".parse::<Time>(), Err(TimeError));
    }

    #[test]
    fn arithmetic_is_clamped() {
        assert_eq!(Time::MAX.plus(DAY), Time::MAX);
        assert_eq!(Time::MIN.minus(DAY), Time::MIN);
        assert_eq!(Time::from_secs(10).since(Time::from_secs(20)), Duration::ZERO);
    }
}
