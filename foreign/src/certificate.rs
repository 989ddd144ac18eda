//! What a genuine code states. None of it is stored or logged, so none of these types can be printed.

use jiff::Timestamp;
use jiff::civil::Date;
use yima_schema::plain_text::plain_text;
use yima_schema::time::Time;

use crate::{Refusal, Scheme};

/// Longest text, in characters: the limit of the EU's schema is 80, other issuers pass it slightly.
const MAX_TEXT: usize = 100;
/// Longest name, in characters.
const MAX_NAME: usize = 200;

/// A code whose signature and times are right.
pub struct Certificate {
    /// Its system.
    pub scheme: Scheme,
    /// Who signed it, by the trust list.
    pub issuer: Issuer,
    /// The holder's name: of an EU certificate as a passport's machine-readable zone writes it.
    pub name: String,
    /// The holder's date of birth: `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
    pub born: Option<String>,
    /// What it proves, at least one.
    pub proofs: Vec<Proof>,
}

/// An issuer of the trust list.
#[derive(Clone)]
pub struct Issuer {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Of a SMART Health Card, the issuer's name.
    pub name: Option<String>,
}

/// One statement.
pub enum Proof {
    /// Doses.
    Vaccination(Vaccination),
    /// A test and its result.
    Test(TestResult),
    /// A past infection.
    Recovery(Recovery),
}

/// Doses of one person.
pub struct Vaccination {
    /// The disease (SNOMED CT), if the code names it.
    pub disease: Option<String>,
    /// An EU certificate has the last dose alone.
    pub doses: Vec<Dose>,
    /// Number of the last dose, if the code counts them.
    pub number: Option<u8>,
    /// Doses of the series, if the code states it.
    pub series: Option<u8>,
}

/// One dose.
pub struct Dose {
    /// The vaccine.
    pub product: Product,
    /// The day on which it was given.
    pub given_on: Date,
}

/// The code of a vaccine.
#[derive(Clone, PartialEq, Eq)]
pub enum Product {
    /// Of the EU's value set of medicinal products.
    Eu(String),
    /// Of the CDC's set CVX.
    Cvx(String),
}

/// A test and its result.
pub struct TestResult {
    /// The disease (SNOMED CT), if the code names it.
    pub disease: Option<String>,
    /// Type of test: a LOINC code or part.
    pub test: String,
    /// A SNOMED CT code.
    pub result: String,
    /// When the sample was taken; of a date alone, its beginning.
    pub sampled_at: Time,
}

/// A past infection.
pub struct Recovery {
    /// The disease (SNOMED CT).
    pub disease: Option<String>,
    /// Day of the first positive test.
    pub first_positive_on: Date,
    /// First day on which the statement counts.
    pub valid_from: Date,
    /// Last day on which the statement counts.
    pub valid_until: Date,
}

/// A code, number or identifier.
pub(crate) fn text(text: &str) -> Result<String, Refusal> {
    plain_text(text, MAX_TEXT).ok_or(Refusal::Malformed)
}

/// A person's name of several parts, of which some may be missing.
pub(crate) fn name<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<String, Refusal> {
    let parts: Vec<_> = parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    plain_text(&parts.join(" "), MAX_NAME).ok_or(Refusal::Malformed)
}

/// A whole date. Some issuers add a time, which is ignored (`2021-02-18T00:00:00`).
pub(crate) fn date(text: &str) -> Result<Date, Refusal> {
    text.split('T').next().unwrap_or_default().parse().map_err(|_| Refusal::Malformed)
}

/// A time with an offset; some issuers write it as `+02` or `+0200`. Of a date alone its beginning (UTC) counts.
pub(crate) fn time(text: &str) -> Result<Time, Refusal> {
    if let Ok(date) = text.parse::<Date>()
        && !text.contains('T')
    {
        return Ok(Time::start_of(date, 0));
    }
    let at: Timestamp = text.parse().map_err(|_| Refusal::Malformed)?;
    Ok(Time::from_millis(at.as_millisecond()))
}

/// A moment in seconds since 1970, whole or not.
pub(crate) fn seconds(seconds: f64) -> Result<Time, Refusal> {
    // A time beyond the year 9999 or before the year 1 is clamped; infinity and NaN are no times.
    if seconds.is_finite() { Ok(Time::from_millis((seconds * 1_000.0) as i64)) } else { Err(Refusal::Malformed) }
}

/// A date of birth in full, or its year, or its year and month; empty if unknown.
pub(crate) fn born(text: &str) -> Result<Option<String>, Refusal> {
    let text = text.split('T').next().unwrap_or_default();
    let fits = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_partial = match text.split('-').collect::<Vec<_>>()[..] {
        [""] => return Ok(None),
        [year] => fits(year, 4),
        [year, month] => fits(year, 4) && fits(month, 2),
        _ => false,
    };
    if is_partial || date(text).is_ok_and(|date| date.to_string() == text) {
        Ok(Some(text.to_owned()))
    } else {
        Err(Refusal::Malformed)
    }
}
