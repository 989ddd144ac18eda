//! Compares an event with an agency's rights, and words what is refused.

use yima_schema::event::{EventData, EventKind};
use yima_schema::problem::{FieldError, Problem, ProblemType};

use super::{Candidate, Refusal};
use crate::agencies::Rights;
use crate::decode::{Field, RowForm};

/// Why the rights do not cover an event, if they do not.
pub(super) fn refusal(rights: &Rights, candidate: &Candidate) -> Option<Refusal> {
    let Candidate { event, document_type, form } = candidate;
    let kind = event.event.data.kind();
    if !rights.kinds.contains(&kind) {
        // Laboratories send the Patient beside the result.
        if kind == EventKind::Identity && *form == RowForm::BundleEntry {
            return Some(Refusal::Ignored("Patient: this agency sends no identities".into()));
        }
        return Some(forbidden(*form, Field::Kind, list("kinds", rights.kinds.iter().map(|kind| kind.as_str()))));
    }
    if !rights.document_types.contains(document_type) {
        let types = rights.document_types.iter().map(|document_type| document_type.as_str());
        return Some(forbidden(*form, Field::DocumentType, list("document types", types)));
    }
    match &event.event.data {
        EventData::Identity { deceased_at: Some(_), .. } if !rights.closes_codes => {
            Some(forbidden(*form, Field::DeceasedAt, "expected none: this agency may not close a code".into()))
        }
        EventData::ColourAssignment { colour, .. } if !rights.colours.contains(colour) => {
            Some(forbidden(*form, Field::Colour, list("colours", rights.colours.iter().map(|colour| colour.as_str()))))
        }
        EventData::ColourAssignment { reason, .. } if !rights.reasons.contains(reason) => {
            Some(forbidden(*form, Field::Reason, list("reasons", rights.reasons.iter().map(String::as_str))))
        }
        EventData::Identity { .. }
        | EventData::ColourAssignment { .. }
        | EventData::TestResult { .. }
        | EventData::Vaccination { .. }
        | EventData::Retraction { .. }
        | EventData::SessionEnd { .. }
        | EventData::Phone { .. }
        | EventData::Guardianship { .. }
        | EventData::Ward { .. } => None,
    }
}

/// An agency without rights.
pub(super) fn unlisted() -> Refusal {
    Refusal::Rejected(Problem::new(ProblemType::Forbidden, "The registry of agencies does not name this agency"))
}

/// An old negative that would end another agency's positive.
pub(super) fn backdated(rights: &Rights, form: RowForm) -> Refusal {
    let hours = rights.backdate_h;
    let expected = format!(
        "expected a sample of the last {hours} h: an older negative result may not end another agency's positive one"
    );
    forbidden(form, Field::OccurredAt, expected)
}

/// More restrictions than the agency may decide in a minute.
pub(super) fn over_quota(rights: &Rights, wait_s: u32) -> Refusal {
    let most = rights.restrictions_per_minute;
    let detail = format!("This agency may restrict {most} persons in a minute: send the event again after the wait");
    Refusal::Rejected(Problem::new(ProblemType::TooManyRequests, detail).retry_after(wait_s))
}

fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.as_slice() {
        [] => format!("expected none: this agency has no {what}"),
        names => format!("expected one of this agency's {what}: {}", names.join(", ")),
    }
}

fn forbidden(form: RowForm, field: Field, expected: String) -> Refusal {
    let mut problem = Problem::new(ProblemType::Forbidden, "The registry of agencies does not allow this event");
    problem.errors = vec![FieldError::new(form.pointer(field), expected)];
    Refusal::Rejected(problem)
}
