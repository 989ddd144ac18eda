//! The claims of the CWT: times, issuer, the sealed handle, and a minimal snapshot for scanners without a network.

use std::time::Duration;

use coset::cbor::Value;
use coset::cwt::{ClaimName, ClaimsSet, ClaimsSetBuilder, Timestamp};
use coset::{CborSerializable, RegisteredLabelWithPrivate};

use crate::event::{Colour, TestKind, TestOutcome};
use crate::time::{HOUR, Time};
use crate::view::{ColourAt, View};

/// Quarter of an hour, in seconds.
const QUARTER_S: i64 = 900;

// Private use: below -65536 (RFC 8392 section 9.1).
const HANDLE: i64 = -65537;
const SNAPSHOT: i64 = -65538;

/// The claims of a code.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The region that issued the code.
    pub issuer: String,
    /// When the code was issued; whole seconds.
    pub issued_at: Time,
    /// Until when the code can be shown; whole seconds.
    pub expires_at: Time,
    /// [`super::Handle`], sealed.
    pub handle: Vec<u8>,
    /// The part that an offline scanner can show.
    pub snapshot: Snapshot,
}

/// The minimum that a scanner needs without a network. A code must not identify its person by an exact time, so times
/// are coarse: rounded towards the restriction, so that a code is never laxer than the live view.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `as_of` of the view; it can be earlier than the time of issue.
    pub as_of: Time,
    /// The colour when the code was issued.
    pub colour: Colour,
    /// The next known change of colour, to a quarter of an hour: a restriction early, its end late.
    pub next: Option<(Time, Colour)>,
    /// The newest conclusive nucleic-acid test, and its age when the code was issued: hours, rounded up.
    pub test: Option<(TestOutcome, u32)>,
    /// Number of doses, and whether the course is complete.
    pub vaccination: (u8, bool),
    /// Masked name.
    pub name: Option<String>,
}

impl Snapshot {
    /// The snapshot at `now` of a view with that `as_of`.
    pub fn of(view: &View, as_of: Time, now: Time) -> Self {
        let at = view.colour_at(now);
        Self {
            as_of,
            colour: at.colour(),
            next: next_change(view, &at),
            test: view
                .newest_conclusive(TestKind::NucleicAcid)
                .map(|test| (test.result, hours_up(now.since(test.sampled_at)))),
            vaccination: (view.vaccination.doses, view.vaccination.complete),
            name: view.name.clone(),
        }
    }

    fn to_value(&self) -> Value {
        let time = |t: Time| Value::from(t.as_secs());
        let pair = |p: Option<(Value, Value)>| p.map_or(Value::Null, |(a, b)| Value::Array(vec![a, b]));
        Value::Array(vec![
            time(self.as_of),
            Value::from(self.colour.code_number()),
            pair(self.next.map(|(t, c)| (time(t), Value::from(c.code_number())))),
            pair(self.test.map(|(r, hours)| (Value::from(r.code_number()), Value::from(hours)))),
            Value::from(self.vaccination.0),
            Value::Bool(self.vaccination.1),
            self.name.clone().map_or(Value::Null, Value::Text),
        ])
    }

    fn from_value(value: &Value) -> Option<Self> {
        let [as_of, colour, next, test, doses, Value::Bool(complete), name] = value.as_array()?.as_slice() else {
            return None;
        };
        let int = |v: &Value| v.as_integer().and_then(|i| i64::try_from(i).ok());
        let time = |v: &Value| int(v).map(Time::from_secs);
        let colour_of = |v: &Value| int(v).and_then(Colour::from_code_number);
        let outcome = |v: &Value| int(v).and_then(TestOutcome::from_code_number);
        Some(Self {
            as_of: time(as_of)?,
            colour: colour_of(colour)?,
            next: match next.as_array().map(Vec::as_slice) {
                Some([t, c]) => Some((time(t)?, colour_of(c)?)),
                Some(_) => return None,
                None => None,
            },
            test: match test.as_array().map(Vec::as_slice) {
                Some([r, hours]) => Some((outcome(r)?, u32::try_from(int(hours)?).ok()?)),
                Some(_) => return None,
                None => None,
            },
            vaccination: (u8::try_from(int(doses)?).ok()?, *complete),
            name: name.as_text().map(str::to_owned),
        })
    }
}

/// The next known change of colour, to a quarter of an hour. A rise is rounded down. A fall is rounded up, unless a
/// rise comes before that: then the code says nothing of the fall.
fn next_change(view: &View, at: &ColourAt<'_>) -> Option<(Time, Colour)> {
    let until = at.until?;
    let fall_by = Time::from_secs(until.minus(Duration::from_millis(1)).as_secs().div_euclid(QUARTER_S) * QUARTER_S)
        .plus(Duration::from_secs(QUARTER_S as u64));
    let soon = || view.timeline.iter().filter(|s| (until..=fall_by).contains(&s.from));
    if let Some(rise) = soon().find(|segment| segment.colour > at.colour()) {
        let from = rise.from.as_secs().div_euclid(QUARTER_S) * QUARTER_S;
        return Some((Time::from_secs(from), rise.colour));
    }
    soon().map(|segment| segment.colour).max().map(|colour| (fall_by, colour))
}

/// Whole hours, rounded up.
fn hours_up(age: Duration) -> u32 {
    u32::try_from(age.as_millis().div_ceil(HOUR.as_millis())).unwrap_or(u32::MAX)
}

impl Claims {
    pub(super) fn to_cbor(&self) -> Vec<u8> {
        let claims = ClaimsSetBuilder::new()
            .issuer(self.issuer.clone())
            .issued_at(Timestamp::WholeSeconds(self.issued_at.as_secs()))
            .expiration_time(Timestamp::WholeSeconds(self.expires_at.as_secs()))
            .private_claim(HANDLE, Value::Bytes(self.handle.clone()))
            .private_claim(SNAPSHOT, self.snapshot.to_value())
            .build();
        claims.to_vec().expect("a built claims set always encodes")
    }

    pub(super) fn from_cbor(bytes: &[u8]) -> Option<Self> {
        let set = ClaimsSet::from_slice(bytes).ok()?;
        let private = |id| {
            let name: ClaimName = RegisteredLabelWithPrivate::PrivateUse(id);
            set.rest.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
        };
        let seconds = |t: &Option<Timestamp>| match t {
            Some(Timestamp::WholeSeconds(s)) => Some(Time::from_secs(*s)),
            Some(Timestamp::FractionalSeconds(_)) | None => None,
        };
        Some(Self {
            handle: private(HANDLE)?.as_bytes()?.clone(),
            snapshot: Snapshot::from_value(private(SNAPSHOT)?)?,
            issued_at: seconds(&set.issued_at)?,
            expires_at: seconds(&set.expiration_time)?,
            issuer: set.issuer?,
        })
    }
}
