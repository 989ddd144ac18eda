//! The problems of events that were decoded and not committed.

use yima_schema::limits::{MAX_EVENTS_PER_AGENCY, MAX_EVENTS_PER_SUBJECT, RESERVED_EVENTS_PER_AGENCY};
use yima_schema::problem::{Problem, ProblemType};
use yima_store::StoreError;

pub(super) fn conflict() -> Problem {
    let detail = "An event with this id and revision but different content already exists; send a correction with a \
        higher revision";
    Problem::new(ProblemType::Conflict, detail)
}

pub(super) fn subject_full() -> Problem {
    let detail = format!(
        "A subject takes {MAX_EVENTS_PER_SUBJECT} events, {MAX_EVENTS_PER_AGENCY} of one agency, and beyond that \
         {RESERVED_EVENTS_PER_AGENCY} of each agency that restrict or take an event back; retract what is wrong"
    );
    Problem::new(ProblemType::SubjectFull, detail)
}

pub(super) fn no_disk_space() -> Problem {
    let detail = "The disk has too little free space: this event was not stored; send it again later";
    Problem::new(ProblemType::NoRoom, detail).retry_after(30)
}

pub(super) fn outcome_unknown() -> Problem {
    let detail =
        "It is not known whether this event was stored; send it again: an event that was stored is not stored twice";
    Problem::new(ProblemType::Unavailable, detail).retry_after(5)
}

pub(super) fn too_many_in_flight() -> Problem {
    let detail = "Too many uploads are being stored: this one was not read; send it again later";
    Problem::new(ProblemType::Unavailable, detail).retry_after(5)
}

pub(super) fn unreadable() -> Problem {
    Problem::new(ProblemType::Internal, "It is not known whether this event was stored; the error has been reported")
}

pub(super) fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::TimedOut => outcome_unknown(),
        StoreError::Corrupt { .. } | StoreError::Rejected(_) => unreadable(),
    }
}
