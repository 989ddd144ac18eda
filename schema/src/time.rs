//! Moments in time: milliseconds since 1970-01-01T00:00:00Z, RFC 3339 at the edge.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
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
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
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

    /// The date of this moment, so many minutes east of UTC.
    pub fn date_at(self, offset_minutes: i16) -> Date {
        let local = Timestamp::from_millisecond(self.0 + i64::from(offset_minutes) * 60_000);
        // `from_millis` clamps to the range of `Timestamp`, at whose ends an offset can lead out of it.
        local.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date()
    }

    /// The first moment of a date, so many minutes east of UTC; clamped to `MIN..=MAX`.
    pub fn start_of(date: Date, offset_minutes: i16) -> Self {
        let epoch = Date::constant(1970, 1, 1);
        let days = date.duration_since(epoch).as_secs();
        Self::from_secs(days - i64::from(offset_minutes) * 60)
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
        // The parser reads more than this form: other offsets, a zone's name, a space for `T`.
        let t: Timestamp = if is_rfc_3339(s) { s.parse().map_err(|_| TimeError)? } else { return Err(TimeError) };
        let ms = t.as_millisecond();
        if (Self::MIN.0..=Self::MAX.0).contains(&ms) { Ok(Self(ms)) } else { Err(TimeError) }
    }
}

/// Whether a text has the form of a `date-time` (RFC 3339 section 5.6), whatever its numbers but for the offset's.
fn is_rfc_3339(text: &str) -> bool {
    const DATE_TIME: &[u8] = b"0000-00-00T00:00:00";
    // 0 stands for any digit.
    let has_form = |text: &[u8], form: &[u8]| {
        let fits = |(&byte, &form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte.eq_ignore_ascii_case(&other),
        };
        text.len() == form.len() && text.iter().zip(form).all(fits)
    };
    let Some((date_time, rest)) = text.as_bytes().split_at_checked(DATE_TIME.len()) else { return false };
    let digits = rest.strip_prefix(b".").map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let offset = &rest[digits.map_or(0, |digits| digits + 1)..];
    let has_offset = has_form(offset, b"Z")
        || (has_form(offset, b"+00:00") || has_form(offset, b"-00:00"))
            && &offset[1..3] <= b"23".as_slice()
            && &offset[4..] <= b"59".as_slice();
    has_form(date_time, DATE_TIME) && digits != Some(0) && has_offset
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
    fn only_times_of_rfc_3339_are_read() {
        let same = "2026-11-22T07:30:00Z".parse::<Time>();
        for text in [
            "2026-11-22t07:30:00z",
            "2026-11-22T07:30:00.000Z",
            "2026-11-22T07:30:00.0+00:00",
            "2026-11-22T07:30:00-00:00",
            "2026-11-23T07:29:00+23:59",
        ] {
            assert!(text.parse::<Time>().is_ok() && text.parse::<Time>() == same, "{text}");
        }
        for text in [
            "2026-11-22T07:30:00+25:00",
            "2026-11-22T07:30:00+24:00",
            "2026-11-22T07:30:00+08:60",
            "2026-11-22T07:30:00+08",
            "2026-11-22T07:30:00+0800",
            "2026-11-22T07:30:00+08:00:00",
            "2026-11-22T07:30:00+08:00[Asia/Shanghai]",
            "2026-11-22T07:30:00Z[Asia/Shanghai]",
            "2026-11-22T07:30:00Z[u-ca=iso8601]",
            "2026-11-22T10Z",
            "2026-11-22T07:30Z",
            "2026-11-22T073000Z",
            "20261122T073000Z",
            "2026-11-22 07:30:00Z",
            "2026-11-22T07:30:00.Z",
            "2026-11-22T07:30:00,5Z",
            "2026-11-22T24:00:00Z",
            "2026-02-30T07:30:00Z",
            "-002026-11-22T07:30:00Z",
            "+002026-11-22T07:30:00Z",
            " 2026-11-22T07:30:00Z",
            "2026-11-22T07:30:00Z ",
            "２026-11-22T07:30:00Z",
            "2026-11-22T07:30:00\u{2212}08:00",
            "2026-W47-7T07:30:00Z",
            "2026-11-22",
            "",
        ] {
            assert_eq!(text.parse::<Time>(), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn a_date_begins_first_in_the_east() {
        let date = Date::constant(2026, 9, 21);
        let start = Time::start_of(date, 480);
        assert_eq!(start.to_string(), "2026-09-20T16:00:00Z");
        assert_eq!((start.date_at(480), start.date_at(0)), (date, Date::constant(2026, 9, 20)));
        assert_eq!(Time::start_of(Date::constant(1850, 1, 1), 0).to_string(), "1850-01-01T00:00:00Z");
        assert_eq!(Time::start_of(Date::MIN, 0), Time::MIN);
        for edge in [Time::MIN, Time::MAX] {
            let _ = (edge.date_at(840), edge.date_at(-840));
        }
    }

    #[test]
    fn arithmetic_is_clamped() {
        assert_eq!(Time::MAX.plus(DAY), Time::MAX);
        assert_eq!(Time::MIN.minus(DAY), Time::MIN);
        assert_eq!(Time::from_secs(10).since(Time::from_secs(20)), Duration::ZERO);
    }
}
