//! The part of a token that a scanner without a network judges by: the colours of the token's life, the age of the
//! newest test, doses, and the masked name. It must not identify its person by an exact time, and must not be laxer
//! than the live view.

use std::time::Duration;

use super::cbor::{Reader, Writer};
use super::validity::{MAX_PROOF_AGE, QUARTER, Validity};
use crate::event::{Colour, TestKind, TestOutcome};
use crate::time::{HOUR, Time};
use crate::view::View;

/// Most changes of colour in one token. Later ones are merged into the last.
const MAX_CHANGES: usize = 8;
/// Longest name that readers accept, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 40;
/// Longest name written: with it the longest code of a guardian is a QR code of version 14.
pub const MAX_WRITTEN_NAME_BYTES: usize = 36;

/// What a token says without a network.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How long before the token's `issued_at` the view was true; whole seconds.
    pub lag: Duration,
    /// The colour in the quarter of an hour with the token's `valid_from`.
    pub colour: Colour,
    /// Later colours: from which quarter of an hour after that one, ascending.
    pub changes: Vec<(u16, Colour)>,
    /// The newest conclusive nucleic-acid test, and its age at the token's `issued_at`: hours, rounded up.
    pub test: Option<(TestOutcome, u32)>,
    /// Number of doses, and whether the course is complete.
    pub vaccination: (u8, bool),
    /// Masked name, at most [`MAX_WRITTEN_NAME_BYTES`]; [`MAX_NAME_BYTES`] if another program has written it.
    pub name: Option<String>,
}

impl Snapshot {
    /// What a view that was true at `as_of` says `now` of a token's life. The colour of a quarter of an hour is the
    /// most restrictive one in it from now on: restrictions begin early and end late.
    pub fn of(view: &View, as_of: Time, now: Time, validity: &Validity) -> Self {
        let base = quarter(validity.valid_from);
        // A code is accepted for a while after the moment that it was shown.
        let until = validity.expires_at.plus(MAX_PROOF_AGE);
        let mut colours: Vec<(u16, Colour)> = Vec::new();
        for n in 0..=u16::MAX {
            let start = Time::from_secs((base + i64::from(n)) * QUARTER.as_secs() as i64);
            if start >= until {
                break;
            }
            let colour = strictest(view, start.max(now), start.plus(QUARTER));
            if colours.last().is_none_or(|(_, last)| *last != colour) {
                colours.push((n, colour));
            }
        }
        let merged = colours.split_off(colours.len().min(MAX_CHANGES + 1));
        if let (Some((_, last)), Some(strictest)) = (colours.last_mut(), merged.iter().map(|(_, colour)| *colour).max())
        {
            *last = strictest.max(*last);
        }
        let colour = if colours.is_empty() { Colour::None } else { colours.remove(0).1 };
        Self {
            lag: Duration::from_secs(validity.issued_at.since(as_of).as_millis().div_ceil(1_000) as u64),
            colour,
            changes: colours,
            test: view
                .newest_conclusive(TestKind::NucleicAcid)
                .map(|test| (test.result, hours_up(validity.issued_at.since(test.sampled_at)))),
            vaccination: (view.vaccination.doses, view.vaccination.complete),
            name: view.name.as_deref().map(shortened),
        }
    }

    /// The colour at `now`, as far as the token says.
    pub fn colour_at(&self, validity: &Validity, now: Time) -> Colour {
        let passed = quarter(now) - quarter(validity.valid_from);
        let changes = self.changes.iter().take_while(|(n, _)| i64::from(*n) <= passed);
        changes.last().map_or(self.colour, |(_, colour)| *colour)
    }

    /// The newest conclusive nucleic-acid test, and its age at `now` at most.
    pub fn test_at(&self, validity: &Validity, now: Time) -> Option<(TestOutcome, Duration)> {
        self.test.map(|(result, hours)| (result, HOUR * hours + now.since(validity.issued_at)))
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        let writer = writer.array(6).uint(self.lag.as_secs()).array(1 + 2 * self.changes.len());
        let writer = writer.int(self.colour.code_number());
        let change = |writer: Writer, (n, colour): &(u16, Colour)| writer.uint((*n).into()).int(colour.code_number());
        let writer = self.changes.iter().fold(writer, change);
        let writer = match self.test {
            Some((result, hours)) => writer.array(2).int(result.code_number()).uint(hours.into()),
            None => writer.null(),
        };
        let writer = writer.uint(self.vaccination.0.into()).bool(self.vaccination.1);
        match &self.name {
            Some(name) => writer.text(name),
            None => writer.null(),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (reader.array()? == 6).then_some(())?;
        let lag = Duration::from_secs(reader.uint()?);
        let colours = usize::try_from(reader.array()?).ok()?;
        let count = colours / 2;
        if colours % 2 == 0 || count > MAX_CHANGES {
            return None;
        }
        let colour = |reader: &mut Reader<'_>| reader.int().and_then(Colour::from_code_number);
        let first = colour(reader)?;
        let mut changes = Vec::with_capacity(count);
        let mut before = 0;
        for _ in 0..count {
            let n = u16::try_from(reader.uint()?).ok().filter(|n| *n > before)?;
            before = n;
            changes.push((n, colour(reader)?));
        }
        let test = if reader.null() {
            None
        } else {
            (reader.array()? == 2).then_some(())?;
            let result = reader.int().and_then(TestOutcome::from_code_number)?;
            Some((result, u32::try_from(reader.uint()?).ok()?))
        };
        let vaccination = (u8::try_from(reader.uint()?).ok()?, reader.bool()?);
        let name = if reader.null() {
            None
        } else {
            Some(reader.text().filter(|name| name.len() <= MAX_NAME_BYTES)?.to_owned())
        };
        Some(Self { lag, colour: first, changes, test, vaccination, name })
    }
}

/// Quarters of an hour since 1970, rounded down.
fn quarter(time: Time) -> i64 {
    time.as_secs().div_euclid(QUARTER.as_secs() as i64)
}

/// The most restrictive colour from `from` until before `until`.
fn strictest(view: &View, from: Time, until: Time) -> Colour {
    let begin = view.timeline.iter().filter(|segment| from < segment.from && segment.from < until);
    begin.map(|segment| segment.colour).fold(view.colour_at(from).colour(), Colour::max)
}

/// Whole hours, rounded up.
fn hours_up(age: Duration) -> u32 {
    u32::try_from(age.as_millis().div_ceil(HOUR.as_millis())).unwrap_or(u32::MAX)
}

/// A name that fits.
pub(super) fn shortened(name: &str) -> String {
    const CUT: &str = "…";
    if name.len() <= MAX_WRITTEN_NAME_BYTES {
        return name.to_owned();
    }
    let fits = name.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_WRITTEN_NAME_BYTES - CUT.len());
    format!("{}{CUT}", &name[..fits.last().unwrap_or(0)])
}
