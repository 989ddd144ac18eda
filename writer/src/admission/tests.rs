//! Admission by a registry, over stored events.

use yima_schema::event::{Colour, Event, TestKind};
use yima_schema::rules::Rules;
use yima_schema::time::HOUR;
use yima_store::WriterStore;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};

use super::*;
use crate::fold::damaged::Damaged;

const REGISTRY: &str = r#"
[[agencies]]
name = "lab-7"
kinds = ["test_result", "retraction"]
document_types = ["cn_resident_id"]
restrictions_per_minute = 2

[[agencies]]
name = "cdc"
kinds = ["colour_assignment", "identity"]
colours = ["yellow", "green"]
reasons = ["quarantine", "released"]
"#;

/// A folder over a store that has these events.
async fn folder(stored: &[StoredEvent]) -> (tempfile::TempDir, Folder) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new("test", [0; 16])).unwrap();
    let folder = Folder::start(store, Arc::new(Rules::built_in()), crate::fold::tests::token_keys()).await.unwrap();
    assert!(folder.commit(stored.to_vec()).await.unwrap().iter().all(|outcome| outcome.is_accepted()));
    (directory, folder)
}

fn admission(registry: &str) -> (tempfile::NamedTempFile, Admission) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), registry).unwrap();
    let path = Some(file.path().to_owned());
    (
        file,
        Admission::new(
            OperatorFile::load("writer.agencies_file", metrics::Gauge::noop(), path, Agencies::load).unwrap(),
        ),
    )
}

fn now() -> Time {
    Time::from_secs(1_790_000_040)
}

/// An event of so many hours ago.
fn event(agency: &str, id: &str, hours_ago: u32, data: EventData) -> StoredEvent {
    let event = Event {
        subject: SubjectId::from_bytes([7; 16]),
        agency: agency.into(),
        id: id.into(),
        revision: 0,
        document: "610102********0016".into(),
        occurred_at: now().minus(HOUR * hours_ago),
        data,
    };
    StoredEvent::new(event, now())
}

fn test(agency: &str, id: &str, hours_ago: u32, result: TestOutcome) -> StoredEvent {
    event(agency, id, hours_ago, EventData::TestResult { test: TestKind::NucleicAcid, result })
}

fn candidate(event: StoredEvent) -> Candidate {
    Candidate { event, document_type: DocumentType::CnResidentId, form: RowForm::Event }
}

/// What an agency's events are answered: empty, `ignored` or the type of the problem with its pointer.
async fn answers(admission: &Admission, stored: &[StoredEvent], events: Vec<Candidate>) -> Vec<String> {
    let agency = events[0].event.event.agency.clone();
    let (_directory, folder) = folder(stored).await;
    let review = admission.review(&agency, &events, &folder, now()).await.unwrap();
    let answer = |refusal: &Option<Refusal>| match refusal {
        None => String::new(),
        Some(Refusal::Ignored(_)) => "ignored".to_owned(),
        Some(Refusal::Rejected(problem)) => {
            let pointer = problem.errors.first().map_or("", |error| error.pointer.as_str());
            format!("{} {pointer}", problem.kind.slug())
        }
    };
    review.refusals.iter().map(answer).collect()
}

#[tokio::test]
async fn an_agency_sends_only_what_the_registry_gives_it() {
    let (_file, admission) = admission(REGISTRY);
    let negative = |agency: &str| candidate(test(agency, "t-1", 1, TestOutcome::Negative));
    let identity = |deceased_at| EventData::Identity { name: "张*".into(), born: None, deceased_at };
    let assigned = |colour, reason: &str| {
        let data = EventData::ColourAssignment { colour, reason: reason.into(), until: None };
        candidate(event("cdc", "a-1", 1, data))
    };
    let passport = Candidate { document_type: DocumentType::Passport, ..negative("lab-7") };
    let patient = Candidate { form: RowForm::BundleEntry, ..candidate(event("lab-7", "p", 1, identity(None))) };
    for (row, expected) in [
        (negative("lab-7"), ""),
        (passport, "forbidden /subject/document_type"),
        (candidate(event("lab-7", "i-1", 1, identity(None))), "forbidden /kind"),
        (patient, "ignored"),
        (candidate(event("cdc", "i-1", 1, identity(None))), ""),
        (candidate(event("cdc", "i-1", 1, identity(Some(now())))), "forbidden /data/deceased_at"),
        (assigned(Colour::Yellow, "quarantine"), ""),
        (assigned(Colour::Red, "quarantine"), "forbidden /data/colour"),
        (assigned(Colour::Yellow, "risk_area"), "forbidden /data/reason"),
        (negative("cdc"), "forbidden /kind"),
        (negative("lab-8"), "forbidden "),
    ] {
        let name = row.event.event.agency.clone();
        assert_eq!(answers(&admission, &[], vec![row]).await, [expected], "{name}");
    }
}

#[tokio::test]
async fn what_is_stored_already_is_a_duplicate_whatever_the_rights_are_now() {
    let (_file, admission) = admission(REGISTRY);
    let stored = test("lab-8", "t-1", 1, TestOutcome::Positive);
    assert_eq!(answers(&admission, std::slice::from_ref(&stored), vec![candidate(stored.clone())]).await, [""]);
}

#[tokio::test]
async fn a_fact_that_is_masked_otherwise_is_a_duplicate_and_another_content_is_none() {
    let (_file, admission) = admission(REGISTRY);
    let stored = test("lab-8", "t-1", 1, TestOutcome::Positive);
    let sent = |document: &str, result| {
        let event = Event { document: document.into(), ..test("lab-8", "t-1", 1, result).event };
        candidate(StoredEvent::new(event, now()))
    };
    for (row, expected) in [
        (sent("6101*************6", TestOutcome::Positive), ""),
        (sent("610102********0016", TestOutcome::Negative), "forbidden "),
        (sent("6101*************6", TestOutcome::Negative), "forbidden "),
    ] {
        assert_eq!(answers(&admission, std::slice::from_ref(&stored), vec![row]).await, [expected]);
    }
}

#[tokio::test]
async fn without_a_registry_every_agency_has_every_right() {
    let (_file, admission) = admission("");
    let positives = (0..2_000).map(|n| candidate(test("lab-8", &format!("t-{n}"), 200, TestOutcome::Positive)));
    assert!(answers(&admission, &[], positives.collect()).await.iter().all(String::is_empty));
}

#[tokio::test]
async fn an_agency_restricts_so_many_persons_in_a_minute() {
    let (_file, admission) = admission(REGISTRY);
    let positive = |id: &str| candidate(test("lab-7", id, 1, TestOutcome::Positive));
    let negative = candidate(test("lab-7", "n-1", 1, TestOutcome::Negative));
    let stored = [test("lab-7", "t-0", 1, TestOutcome::Positive)];
    let rows = vec![positive("t-1"), positive("t-2"), positive("t-3"), negative, positive("t-0")];
    assert_eq!(answers(&admission, &stored, rows).await, ["", "", "too-many-requests ", "", ""], "t-0 is a duplicate");

    // What restricted nobody is given back; the next minute begins anew.
    let review = Review { refusals: Vec::new(), taken: 2 };
    admission.note("lab-7", &review, &[(EventKind::TestResult, true)], now());
    assert_eq!(answers(&admission, &[], vec![positive("t-3"), positive("t-4")]).await, ["", "too-many-requests "]);
    let (_directory, folder) = folder(&[]).await;
    let later = now().plus(std::time::Duration::from_secs(60));
    let review = admission.review("lab-7", &[positive("t-4")], &folder, later).await.unwrap();
    assert_eq!(review.refusals, [None]);
}

#[tokio::test]
async fn a_stored_event_is_recognized_without_reading_the_others_of_its_subject() {
    let (_file, admission) = admission(REGISTRY);
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new("test", [0; 16])).unwrap();
    let (old, forbidden) =
        (test("lab-7", "t-1", 100, TestOutcome::Negative), test("cdc", "t-2", 1, TestOutcome::Negative));
    store.append(vec![old.clone(), forbidden.clone()]).await.unwrap();
    // A folder that reads no events of this subject.
    let damaged = Damaged { store, subject: old.event.subject };
    let folder =
        Folder::start(Arc::new(damaged), Arc::new(Rules::built_in()), crate::fold::tests::token_keys()).await.unwrap();
    for stored in [old, forbidden] {
        let agency = stored.event.agency.clone();
        let review = admission.review(&agency, &[candidate(stored)], &folder, now()).await.unwrap();
        assert_eq!(review.refusals, [None], "{agency}");
    }
    let new = [candidate(test("lab-7", "t-3", 100, TestOutcome::Negative))];
    assert!(admission.review("lab-7", &new, &folder, now()).await.is_err(), "a new one is judged by the others");
}

#[tokio::test]
async fn an_old_negative_does_not_end_the_positive_of_another_agency() {
    let (_file, admission) = admission(REGISTRY);
    let positive = test("hospital-1", "p-1", 60, TestOutcome::Positive);
    let negative = |id: &str, hours_ago| candidate(test("lab-7", id, hours_ago, TestOutcome::Negative));
    let stored = std::slice::from_ref(&positive);
    let refused = "forbidden /occurred_at";
    // Two that are 24 h apart end it together, whether they come in one request or in two.
    assert_eq!(answers(&admission, stored, vec![negative("n-1", 50), negative("n-2", 20)]).await, ["", refused]);
    let first = negative("n-1", 50).event;
    assert_eq!(answers(&admission, &[positive.clone(), first.clone()], vec![negative("n-2", 20)]).await, [refused]);
    assert_eq!(answers(&admission, &[positive.clone(), first], vec![negative("n-2", 1)]).await, [""], "a new sample");
    // A decision that restricts longer does not hide it.
    let data = EventData::ColourAssignment { colour: Colour::Red, reason: "quarantine".into(), until: None };
    let hidden = [positive.clone(), event("lab-7", "a-1", 59, data), negative("n-1", 50).event];
    assert_eq!(answers(&admission, &hidden, vec![negative("n-2", 20)]).await, [refused]);
    // Its own positive, or one that is over, may end.
    let own = [test("lab-7", "p-1", 60, TestOutcome::Positive), negative("n-1", 50).event];
    assert_eq!(answers(&admission, &own, vec![negative("n-2", 20)]).await, [""]);
    let over = [test("hospital-1", "p-1", 200, TestOutcome::Positive), negative("n-1", 50).event];
    assert_eq!(answers(&admission, &over, vec![negative("n-2", 20)]).await, [""]);
    // An antigen positive ends with one negative.
    let data = EventData::TestResult { test: TestKind::Antigen, result: TestOutcome::Positive };
    let antigen = event("hospital-1", "p-2", 60, data);
    assert_eq!(answers(&admission, &[antigen], vec![negative("n-1", 50)]).await, [refused]);
}
