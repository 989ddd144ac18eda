//! The acceptance of expired codes: an operator's decision for a time in which phones cannot fetch new ones.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_WHY_CHARS;
use crate::time::{DAY, HOUR, Time};

/// Longest time for which it is in force without being started again.
const MAX_LENGTH: Duration = Duration::from_secs(72 * 3_600);

/// The acceptance of expired codes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Emergency {
    /// When it ends; the bundle counts until then. Whole seconds.
    pub until: Time,
    /// How long ago a token may have expired. Whole seconds.
    #[serde(rename = "expired_s", with = "seconds")]
    pub expired: Duration,
    /// Why, for people.
    pub why: String,
}

/// An emergency cannot be started like this; the text says what was expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EmergencyError {
    /// Its length.
    #[error("--for: expected a time of up to 72 h")]
    Length,
    /// How long ago tokens may have expired.
    #[error("--expired: expected a time of up to 24 h")]
    Expired,
    /// Why.
    #[error("--why: expected 1 to {MAX_WHY_CHARS} characters")]
    Why,
}

impl Emergency {
    /// One that begins now.
    ///
    /// # Errors
    /// The first value that is out of its limits.
    pub fn start(now: Time, length: Duration, expired: Duration, why: &str) -> Result<Self, EmergencyError> {
        if length < Duration::from_secs(1) || length > MAX_LENGTH {
            return Err(EmergencyError::Length);
        }
        if expired > DAY {
            return Err(EmergencyError::Expired);
        }
        let why = why.trim();
        if why.is_empty() || why.chars().count() > MAX_WHY_CHARS || why.chars().any(char::is_control) {
            return Err(EmergencyError::Why);
        }
        let until = Time::from_secs(now.plus(length).as_secs());
        Ok(Self { until, expired: Duration::from_secs(expired.as_secs()), why: why.to_owned() })
    }

    /// As it is stored.
    ///
    /// # Panics
    /// Never: times and texts always serialise.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("times and texts always serialise")
    }

    /// Reads [`Self::to_json`], if it is in force at `now`.
    ///
    /// # Errors
    /// Not such a text.
    pub fn in_force(json: &[u8], now: Time) -> Result<Option<Self>, serde_json::Error> {
        let emergency: Self = serde_json::from_slice(json)?;
        Ok(Some(emergency).filter(|emergency| emergency.until > now))
    }
}

/// A time as whole hours, minutes or seconds with their unit: `6h`, `90m`, `30s`.
///
/// # Errors
/// Another text.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected hours, minutes or seconds, such as 6h, 90m or 30s";
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(EXPECTED)?;
    let unit = match unit {
        "h" => HOUR,
        "m" => Duration::from_secs(60),
        "s" => Duration::from_secs(1),
        _ => return Err(EXPECTED),
    };
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten();
    number.and_then(|number| unit.checked_mul(number)).ok_or(EXPECTED)
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(duration.as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_is_limited_and_over_at_its_end() {
        let now = Time::from_secs(1_796_000_400);
        let start = |length, expired, why: &str| Emergency::start(now, length, expired, why);
        let emergency = start(HOUR * 6, DAY, " the network is down ").unwrap();
        assert_eq!((emergency.until, emergency.why.as_str()), (now.plus(HOUR * 6), "the network is down"));
        let in_force = |at| Emergency::in_force(emergency.to_json().as_bytes(), at).unwrap();
        assert_eq!(in_force(now).as_ref(), Some(&emergency));
        assert!(in_force(emergency.until).is_none());
        for (length, expired, why, error) in [
            (Duration::ZERO, DAY, "why", EmergencyError::Length),
            (HOUR * 73, DAY, "why", EmergencyError::Length),
            (HOUR, HOUR * 25, "why", EmergencyError::Expired),
            (HOUR, HOUR, "  ", EmergencyError::Why),
            (HOUR, HOUR, "a\nb", EmergencyError::Why),
            (HOUR, HOUR, &"w".repeat(201), EmergencyError::Why),
        ] {
            assert_eq!(start(length, expired, why), Err(error), "{why}");
        }
        assert!(Emergency::in_force(b"{", now).is_err());
    }

    #[test]
    fn a_duration_has_its_unit() {
        for (text, seconds) in [("6h", 21_600), ("90m", 5_400), ("30s", 30), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "h", "6", "6 h", "-6h", "+6h", "6d", "6.5h", "99999999999h", "六h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
