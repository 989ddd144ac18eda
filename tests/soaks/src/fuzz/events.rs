//! Readers of what agencies send.

use bytes::Bytes;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;
use yima_schema::code::{Snapshot, Validity};
use yima_schema::derive::derive;
use yima_schema::event::{EventKind, StoredEvent, is_event_id};
use yima_schema::limits::{MAX_CLOCK_SKEW, MAX_REVISION};
use yima_schema::problem::Problem;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_schema::time::{HOUR, Time};
use yima_schema::view::View;
use yima_writer::decode::codes::Codes;
use yima_writer::decode::upload::{MediaType, Upload};
use yima_writer::decode::{Context, RawRow, RowError};

use super::duplicates::has_duplicate;
use super::readers::Outcome;

/// The agency of the inputs.
const AGENCY: &str = "lab-7";
/// 2026-11-29T00:00:00Z.
const NOW: i64 = 1_795_910_400;

/// Makes a row of its text.
type MakeRow = fn(Bytes) -> RawRow;

/// What rows are decoded with.
pub(super) struct Decoder {
    pseudonyms: PseudonymKey,
    rules: Rules,
    codes: Codes,
    zone: TimeZone,
}

impl Decoder {
    pub(super) fn new() -> Self {
        let zone = TimeZone::fixed(Offset::from_hours(8).expect("China's offset"));
        let pseudonyms = PseudonymKey::from_bytes(&[1; 32]);
        Self { pseudonyms, rules: Rules::built_in(), codes: Codes::built_in(), zone }
    }

    fn context(&self) -> Context<'_> {
        let now = Time::from_secs(NOW);
        let Self { pseudonyms, rules, codes, zone } = self;
        Context { agency: AGENCY, now, pseudonyms, rules, codes, zone }
    }

    /// Splits a body and decodes its rows; accepted if one of them is.
    pub(super) fn read(&self, media_type: MediaType, body: &[u8]) -> Result<Outcome, String> {
        let rows = match Upload::split(media_type, Bytes::copy_from_slice(body)) {
            Ok(upload) => upload.rows,
            Err(problem) => return is_of_the_client(&problem).map(|()| Outcome::Refused),
        };
        let mut outcome = Outcome::Refused;
        let mut last = 0;
        for (n, row) in rows {
            if n <= last {
                return Err(format!("row {n} after row {last}"));
            }
            last = n;
            let json = json_of(&row);
            match row.decode(self.context()).event {
                Ok((stored, _document_type)) => {
                    outcome = Outcome::Accepted;
                    self.check(&stored)?;
                    if let Some((text, again)) = json {
                        self.check_text(&stored, &text, again)?;
                    }
                }
                Err(RowError::Ignored(_)) => {}
                Err(RowError::NotCounted(fact)) => match &fact.withdrawal {
                    Some(Ok((withdrawal, _document_type))) => self.check(withdrawal)?,
                    Some(Err(problem)) => is_of_the_client(problem)?,
                    None => {}
                },
                Err(RowError::Rejected(problem)) => is_of_the_client(&problem)?,
                Err(RowError::UnreadPositive(unread)) => is_of_the_client(&unread.problem)?,
            }
        }
        // Also what is around the rows.
        if outcome == Outcome::Accepted && media_type == MediaType::FhirJson && has_duplicate(body) {
            return Err("a member twice in what was accepted".into());
        }
        Ok(outcome)
    }

    /// The text of an accepted event has no member twice, and its value written again is the same event.
    fn check_text(&self, stored: &StoredEvent, text: &[u8], row: MakeRow) -> Result<(), String> {
        if has_duplicate(text) {
            return Err("a member twice in what was accepted".into());
        }
        let value: Value = serde_json::from_slice(text).map_err(|_| "what was accepted is not JSON".to_owned())?;
        match row(value.to_string().into()).decode(self.context()).event {
            Ok((again, _)) if again == *stored => Ok(()),
            Ok(_) => Err("the same JSON value is another event".into()),
            Err(_) => Err("the same JSON value is refused".into()),
        }
    }

    /// An accepted event keeps the promises of its fields, is stored and read without a change, and gives a view of
    /// which the same holds.
    fn check(&self, stored: &StoredEvent) -> Result<(), String> {
        let event = &stored.event;
        let latest = Time::from_secs(NOW).plus(MAX_CLOCK_SKEW);
        let holds = [
            ("its agency", event.agency == AGENCY),
            ("its id", is_event_id(&event.id)),
            ("its revision", event.revision <= MAX_REVISION),
            ("its kind", EventKind::OF_AGENCIES.contains(&event.data.kind())),
            ("its time", event.occurred_at <= latest),
            ("the text of its time", event.occurred_at.to_string().parse() == Ok(event.occurred_at)),
            ("its stored bytes", StoredEvent::decode(&stored.encode()).as_ref() == Ok(stored)),
        ];
        if let Some((what, _)) = holds.iter().find(|(_, holds)| !holds) {
            return Err(format!("an accepted event: {what}"));
        }
        let view = derive(std::slice::from_ref(stored), &self.rules);
        for at in [Time::MIN, Time::from_secs(NOW), Time::MAX] {
            Snapshot::of(&view, at, at, &Validity::of_bare(at, HOUR));
        }
        let read = View::decode(&view.encode());
        if read.is_ok_and(|read| read == view) { Ok(()) } else { Err("the view's stored bytes".into()) }
    }
}

/// The JSON of a row, and how another row of its form is made.
fn json_of(row: &RawRow) -> Option<(Bytes, MakeRow)> {
    match row {
        RawRow::Event(text) => Some((text.clone(), RawRow::Event)),
        RawRow::Fhir(text) => Some((text.clone(), RawRow::Fhir)),
        // An entry may need its Bundle; the whole body is looked at instead.
        RawRow::Entry { .. } | RawRow::Kept { .. } | RawRow::Record(_) | RawRow::Rejected(_) => None,
    }
}

/// Whether a problem is one of the input.
fn is_of_the_client(problem: &Problem) -> Result<(), String> {
    let status = problem.kind.status();
    if (400..500).contains(&status) { Ok(()) } else { Err(format!("a problem of status {status}")) }
}
