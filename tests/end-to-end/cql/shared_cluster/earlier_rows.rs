//! Rows that an earlier program wrote: with the date of birth, and with names and numbers masked in another way.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::{Consistency, Statement};
use yima_harness::now;
use yima_schema::derive::derive;
use yima_schema::event::{ContentHash, Event, EventData, Rank, StoredEvent};
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::View;
use yima_store::cql::CqlStore;
use yima_store::{EventReader, ViewReader};
use yima_writer::config::RefoldConfig;
use yima_writer::fold::{CommitOutcome, Folder};
use yima_writer::refold::Refold;

use crate::cql::many_subjects::quick;
use crate::cql::{cluster, open, options};
use crate::until_async;

const KEYSPACE: &str = "earlier_rows";

fn event(subject: SubjectId, name: &str, document: &str) -> Event {
    Event {
        subject,
        agency: "clinic-3".into(),
        id: "Patient/p1".into(),
        revision: 0,
        document: document.into(),
        occurred_at: Time::from_secs(1_790_000_000),
        data: EventData::Identity { name: name.into(), born: Some("1990-03-07".into()), deceased_at: None },
    }
}

/// As the earlier program knew it: under a hash that covers the date of birth.
fn earlier(subject: SubjectId) -> StoredEvent {
    let event = event(subject, "张**", "610102********0016");
    let received_at = Time::from_secs(1_790_000_100);
    StoredEvent { event, hash: ContentHash([7; 16]), received_at, rank: Rank::Original }
}

/// As it wrote it: with the date, in whose place there is none today. The moment of death, none, is the last byte.
fn with_birth_date(stored: &StoredEvent) -> Vec<u8> {
    let mut bytes = stored.encode();
    assert!(bytes.ends_with(&[0, 0]));
    bytes.truncate(bytes.len() - 2);
    bytes.extend([&[1, 10][..], b"1990-03-07", &[0]].concat());
    bytes
}

async fn insert(session: &Session, stored: &StoredEvent, bytes: Vec<u8>) {
    let (agency, id, revision, hash) = stored.key();
    let columns = "(subject, agency, id, revision, hash, event)";
    let text = format!("INSERT INTO {KEYSPACE}.events {columns} VALUES (?, ?, ?, ?, ?, ?)");
    let row = (&stored.event.subject.as_bytes()[..], agency, id, revision as i64, &hash.0[..], bytes);
    session.query_unpaged(local(text), row).await.unwrap();
}

/// Hashes and bytes of a subject's rows.
async fn rows(session: &Session, subject: SubjectId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = format!("SELECT hash, event FROM {KEYSPACE}.events WHERE subject = ?");
    let answer = session.query_unpaged(local(text), (&subject.as_bytes()[..],)).await.unwrap();
    let rows = answer.into_rows_result().unwrap();
    rows.rows::<(Vec<u8>, Vec<u8>)>().unwrap().map(Result::unwrap).collect()
}

fn local(text: String) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::LocalQuorum);
    statement
}

fn has_birth_date(rows: &[(Vec<u8>, Vec<u8>)]) -> bool {
    rows.iter().any(|(_, row)| row.windows(4).any(|bytes| bytes == b"1990"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_a_date_of_birth_are_replaced_by_the_refold_in_every_region() {
    let cluster = cluster();
    let store = open(&quick(options(&cluster, KEYSPACE, "xian"))).await;
    let _other = open(&quick(options(&cluster, KEYSPACE, "chengdu"))).await;
    let (here, there) = (cluster.session(1).await, cluster.session(2).await);
    let subjects: Vec<SubjectId> = (0..4).map(|n| SubjectId::from_bytes([n; 16])).collect();
    for subject in &subjects {
        let stored = earlier(*subject);
        insert(&here, &stored, with_birth_date(&stored)).await;
    }
    // A replacement that was interrupted has left both rows.
    let replaced = earlier(subjects[1]).without_birth_date();
    insert(&here, &replaced, replaced.encode()).await;
    assert!(has_birth_date(&rows(&here, subjects[0]).await));

    // Several readers of one subject at once.
    let read = |store: Arc<CqlStore>, subject| async move { store.events(&[subject]).await.unwrap().remove(0) };
    let reads: Vec<_> = (0..8).map(|_| tokio::spawn(read(store.clone(), subjects[2]))).collect();
    for read in reads {
        assert!(read.await.unwrap() == [earlier(subjects[2]).without_birth_date()]);
    }
    let rules = Arc::new(Rules::built_in());
    let folder =
        Arc::new(Folder::start(store.clone(), rules.clone(), yima_harness::samples::token_keys()).await.unwrap());
    let config = RefoldConfig { subjects_per_s: NonZeroU32::new(10_000).unwrap() };
    let refold = Refold::new(store.clone(), folder.clone(), config, now).run();
    tokio::time::timeout(Duration::from_secs(30), refold).await.expect("the refold ends");
    for subject in &subjects {
        let expected = earlier(*subject).without_birth_date();
        let stored = rows(&here, *subject).await;
        assert!(stored == [(expected.hash.0.to_vec(), expected.encode())] && !has_birth_date(&stored));
        let view = View::decode(&store.lookup(*subject).await.unwrap().unwrap().view).unwrap();
        assert!(view == derive(&[expected], &rules));
        let replicated = async || rows(&there, *subject).await == stored;
        until_async("the replacement in the other region", Duration::from_secs(20), replicated).await;
    }

    // Sent again, also as today's program masks it, each is a duplicate; another name is a conflict.
    let again = |subject: &SubjectId, name| StoredEvent::new(event(*subject, name, "6101*************6"), now());
    let sent = subjects.iter().map(|subject| again(subject, "张*")).collect();
    assert_eq!(folder.commit(sent).await.unwrap(), [CommitOutcome::Duplicate; 4]);
    assert_eq!(folder.commit(vec![again(&subjects[0], "王*")]).await.unwrap(), [CommitOutcome::Conflict]);
    assert_eq!(rows(&here, subjects[0]).await.len(), 1);
    folder.close().await.unwrap();
}
