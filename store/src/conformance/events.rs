//! Appends and reads of events.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use yima_schema::event::{Event, EventData, StoredEvent, TestKind, TestOutcome};
use yima_schema::limits::{MAX_EVENTS_PER_AGENCY, MAX_EVENTS_PER_SUBJECT, RESERVED_EVENTS_PER_AGENCY};

use super::fixture::{append_one, event, subject};
use super::{ConformanceError, Harness, ensure};
use crate::Appended;

pub(super) async fn an_event_is_new_and_then_a_duplicate(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let first = event(subject(), "a", 0, 0);
    let again = StoredEvent { received_at: first.received_at.plus(Duration::from_secs(9)), ..first.clone() };
    let Appended::New(mark) = append_one(&*store, first.clone()).await? else {
        return Err(ConformanceError("a new event was not New".into()));
    };
    let Appended::Duplicate(other) = append_one(&*store, again).await? else {
        return Err(ConformanceError("the same event again was not a Duplicate".into()));
    };
    ensure!(mark != other, "a duplicate got the mark of its first");
    let (other_content, other_subject) = (event(first.event.subject, "a", 0, 1), event(subject(), "a", 0, 0));
    let stored = store.are_stored(&[&other_content, &first, &other_subject]).await?;
    ensure!(stored == [false, true, false], "only the stored event is stored: {stored:?}");
    let read = store.events(&[first.event.subject]).await?;
    ensure!(read == [vec![first]], "a duplicate replaced the first event");
    Ok(())
}

pub(super) async fn another_content_conflicts_within_one_call(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let outcomes = store.append(vec![event(s, "a", 0, 0), event(s, "a", 0, 1), event(s, "a", 0, 0)]).await?;
    ensure!(
        matches!(outcomes[..], [Appended::New(_), Appended::Conflict, Appended::Duplicate(_)]),
        "new, conflicting, repeated: {outcomes:?}"
    );
    ensure!(store.events(&[s]).await? == [vec![event(s, "a", 0, 0)]], "a conflict changed the stored event");
    Ok(())
}

pub(super) async fn another_content_conflicts_across_calls(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    append_one(&*store, event(s, "a", 3, 0)).await?;
    let outcome = append_one(&*store, event(s, "a", 3, 1)).await?;
    ensure!(outcome == Appended::Conflict, "another content of a stored event: {outcome:?}");
    ensure!(store.events(&[s]).await? == [vec![event(s, "a", 3, 0)]], "a conflict changed the stored event");
    Ok(())
}

pub(super) async fn one_id_may_have_many_revisions(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let mut other_agency = event(s, "a", 0, 7).event;
    other_agency.agency = "lab-70".into();
    let all = vec![
        event(s, "a", 0, 0),
        event(s, "a", 1, 1),
        event(s, "a", u64::MAX, 2),
        event(s, "a1", 0, 3),
        event(subject(), "a", 0, 4),
        StoredEvent::new(other_agency, event(s, "a", 0, 0).received_at),
    ];
    let outcomes = store.append(all).await?;
    ensure!(outcomes.iter().all(|o| matches!(o, Appended::New(_))), "different events: {outcomes:?}");
    Ok(())
}

pub(super) async fn outcomes_keep_the_order_of_the_events(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (s, t) = (subject(), subject());
    store.append(vec![event(s, "old", 0, 0), event(t, "old", 0, 0)]).await?;
    let mixed = vec![event(t, "old", 0, 9), event(s, "new", 0, 0), event(s, "old", 0, 0), event(t, "new", 0, 0)];
    let outcomes = store.append(mixed).await?;
    let [Appended::Conflict, Appended::New(a), Appended::Duplicate(b), Appended::New(c)] = outcomes[..] else {
        return Err(ConformanceError(format!("conflict, new, duplicate, new: {outcomes:?}")));
    };
    ensure!(a != b && b != c && a != c, "two events got one mark");
    ensure!(store.append(Vec::new()).await?.is_empty(), "no events had outcomes");
    Ok(())
}

pub(super) async fn a_full_subject_takes_only_what_restricts(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let numbered = |n: usize| event(s, &format!("e{n}"), 0, 0);
    let half = MAX_EVENTS_PER_AGENCY / 2;
    store.append((0..half).map(numbered).collect()).await?;
    let outcomes = store.append((half..MAX_EVENTS_PER_AGENCY + 2).map(numbered).collect()).await?;
    let new = outcomes.iter().filter(|o| matches!(o, Appended::New(_))).count();
    ensure!(new == MAX_EVENTS_PER_AGENCY - half, "{} events of one agency were new", half + new);
    ensure!(outcomes.ends_with(&[Appended::Full, Appended::Full]), "events above the agency's limit were not Full");
    let outcomes = store.append((0..MAX_EVENTS_PER_AGENCY + 1).map(|n| of("lab-8", numbered(n))).collect()).await?;
    let new = outcomes.iter().filter(|o| matches!(o, Appended::New(_))).count();
    let room = MAX_EVENTS_PER_SUBJECT - MAX_EVENTS_PER_AGENCY;
    ensure!(new == room, "{new} events of another agency were new");
    let outcome = append_one(&*store, of("lab-9", numbered(0))).await?;
    ensure!(outcome == Appended::Full, "a full subject: {outcome:?}");
    let positives = |agency: &'static str, count: usize| {
        (0..count).map(|n| positive(of(agency, event(s, &format!("p{n}"), 0, 0)))).collect::<Vec<_>>()
    };
    // Two that have used up their share, and one that comes new.
    for agency in ["lab-7", "lab-8", "lab-9"] {
        let outcomes = store.append(positives(agency, RESERVED_EVENTS_PER_AGENCY + 1)).await?;
        let new = outcomes.iter().filter(|o| matches!(o, Appended::New(_))).count();
        ensure!(new == RESERVED_EVENTS_PER_AGENCY, "{new} restrictions of {agency} were new");
    }
    let outcomes = store.append_all(vec![numbered(MAX_EVENTS_PER_AGENCY), positives("lab-5", 1).remove(0)]).await?;
    ensure!(outcomes == [Appended::Full, Appended::NotTried], "a transaction of a full subject: {outcomes:?}");
    let outcomes = store.append(positives("lab-5", 1)).await?;
    ensure!(matches!(outcomes[..], [Appended::New(_)]), "a restriction of a full subject: {outcomes:?}");
    let outcome = append_one(&*store, numbered(7)).await?;
    ensure!(matches!(outcome, Appended::Duplicate(_)), "a duplicate of a full subject: {outcome:?}");
    let outcome = append_one(&*store, event(s, "e7", 0, 1)).await?;
    ensure!(outcome == Appended::Conflict, "a conflict of a full subject: {outcome:?}");
    let read = store.events(&[s]).await?;
    let expected = MAX_EVENTS_PER_SUBJECT + 3 * RESERVED_EVENTS_PER_AGENCY + 1;
    ensure!(read.len() == 1 && read[0].len() == expected, "a full subject does not read back complete");
    Ok(())
}

/// The same event of another agency.
fn of(agency: &str, event: StoredEvent) -> StoredEvent {
    StoredEvent::new(Event { agency: agency.into(), ..event.event }, event.received_at)
}

/// The same event with a positive result, received later: room is counted in the order of receipt.
fn positive(event: StoredEvent) -> StoredEvent {
    let data = EventData::TestResult { test: TestKind::NucleicAcid, result: TestOutcome::Positive };
    StoredEvent::new(Event { data, ..event.event }, event.received_at.plus(Duration::from_secs(1)))
}

pub(super) async fn events_read_back_exactly(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (s, t, without_events) = (subject(), subject(), subject());
    let mut of_s: Vec<_> = (0..20).map(|n| event(s, &format!("s/{n}"), n, 5)).collect();
    let of_t = vec![event(t, "t", 0, 5)];
    store.append(of_s.iter().chain(&of_t).cloned().collect()).await?;
    let mut read = store.events(&[t, without_events, s, t]).await?;
    for events in [&mut of_s].into_iter().chain(&mut read) {
        events.sort_by(|a, b| a.key().cmp(&b.key())); // the order is the engine's own
    }
    ensure!(read.len() == 4, "4 subjects had {} answers", read.len());
    ensure!(read[0] == of_t && read[3] == of_t, "a subject's only event is not the one that was appended");
    ensure!(read[1].is_empty(), "a subject without events has some");
    ensure!(read[2] == of_s, "a subject's events are not the ones that were appended");
    Ok(())
}

pub(super) async fn every_content_reported_new_is_kept(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let s = subject();
    let mut racing = JoinSet::new();
    for second in 0..8 {
        let store = Arc::clone(&store);
        racing.spawn(async move { append_one(&*store, event(s, "a", 0, second)).await });
    }
    let mut new = 0;
    while let Some(outcome) = racing.join_next().await {
        new += usize::from(matches!(outcome??, Appended::New(_)));
    }
    let kept = store.events(&[s]).await?.concat().len();
    // An engine without a lock may keep both contents of a race; it must then report New for both, or one would be
    // lost.
    ensure!(new >= 1 && new == kept, "{new} contents of one revision were new and {kept} are stored");
    Ok(())
}

pub(super) async fn append_all_takes_all_events_or_none(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (s, t) = (subject(), subject());
    append_one(&*store, event(s, "old", 0, 0)).await?;
    let refused = vec![event(t, "new", 0, 0), event(s, "old", 0, 0), event(s, "old", 0, 1)];
    let outcomes = store.append_all(refused).await?;
    let expected = [Appended::NotTried, Appended::NotTried, Appended::Conflict];
    ensure!(outcomes == expected, "new, repeated, conflicting: {outcomes:?}");
    let within = store.append_all(vec![event(t, "new", 0, 0), event(t, "new", 0, 1)]).await?;
    ensure!(within == [Appended::NotTried, Appended::Conflict], "two contents of one call: {within:?}");
    let read = store.events(&[s, t]).await?;
    ensure!(read == [vec![event(s, "old", 0, 0)], vec![]], "a refused call wrote an event");
    let outcomes = store.append_all(vec![event(t, "new", 0, 0), event(s, "old", 0, 0), event(t, "new", 0, 0)]).await?;
    ensure!(
        matches!(outcomes[..], [Appended::New(_), Appended::Duplicate(_), Appended::Duplicate(_)]),
        "new, repeated, repeated within the call: {outcomes:?}"
    );
    ensure!(store.events(&[t]).await? == [vec![event(t, "new", 0, 0)]], "a taken event is not stored");
    Ok(())
}

pub(super) async fn append_all_stays_atomic_while_others_append(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let shared = subject();
    let (mut racing, mut beside) = (JoinSet::new(), JoinSet::new());
    for second in 0..16 {
        let (alone, both) = (subject(), subject());
        let all = vec![event(alone, "b", 0, 0), event(both, "c", 0, 0), event(shared, "a", 0, second)];
        let racer = Arc::clone(&store);
        racing.spawn(async move { Ok::<_, ConformanceError>((racer.append_all(all).await?, alone)) });
        let other = Arc::clone(&store);
        beside.spawn(
            async move { Ok::<_, ConformanceError>((append_one(&*other, event(both, "c", 0, 0)).await?, both)) },
        );
    }
    while let Some(outcomes) = racing.join_next().await {
        let (outcomes, alone) = outcomes??;
        let taken = outcomes.iter().all(|o| matches!(o, Appended::New(_) | Appended::Duplicate(_)));
        let refused = outcomes == [Appended::NotTried, Appended::NotTried, Appended::Conflict];
        ensure!(taken || refused, "neither all nor none: {outcomes:?}");
        let kept = store.events(&[alone]).await?.concat().len();
        ensure!(kept == usize::from(taken), "taken: {taken}, and {kept} of one event are stored");
    }
    while let Some(outcome) = beside.join_next().await {
        let (outcome, both) = outcome??;
        let kept = store.events(&[both]).await?.concat().len();
        ensure!(kept == 1, "an event beside the refused ones was {outcome:?}, and {kept} are stored");
    }
    Ok(())
}
