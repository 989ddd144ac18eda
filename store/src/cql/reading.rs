//! Look-ups of views and reads of events.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::prepared::PreparedStatement;
use yima_schema::event::StoredEvent;
use yima_schema::limits::MAX_EVENTS_PER_SUBJECT;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use super::fault::fault;
use super::{CqlStore, Inner};
use crate::span::{call, call_span};
use crate::{EventReader, Result, StoreError, VersionedView, ViewReader};

/// Keys in one look-up of many: ScyllaDB takes up to 100.
const LOOKUP_KEYS: usize = 50;
/// Requests of one call that are under way together.
pub(super) const CONCURRENT: usize = 64;
/// Events of one subject that are read at most. More than [`MAX_EVENTS_PER_SUBJECT`] can only come of appends in several places at once.
pub(super) const READ_EVENTS: i32 = 4 * MAX_EVENTS_PER_SUBJECT as i32;

#[async_trait]
impl ViewReader for CqlStore {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        let found = self.inner.lookup(&self.inner.statements.views.lookup, subject);
        let found = call(call_span!("cassandra", "SELECT", "views", 1), found).await?;
        self.inner.if_ready(found.is_none()).await?;
        Ok(found)
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let groups = self.inner.by_replica(subjects);
        let found = stream::iter(groups)
            .map(|(node, keys)| async move { self.inner.lookup_group(node, &keys).await })
            .buffer_unordered(CONCURRENT)
            .try_collect::<Vec<_>>();
        let found = call(call_span!("cassandra", "SELECT", "views", subjects.len()), found).await?;
        let found: HashMap<SubjectId, VersionedView> = found.into_iter().flatten().collect();
        self.inner.if_ready(subjects.iter().any(|subject| !found.contains_key(subject))).await?;
        Ok(subjects.iter().map(|subject| found.get(subject).cloned()).collect())
    }
}

#[async_trait]
impl EventReader for CqlStore {
    async fn events(&self, subjects: &[SubjectId]) -> Result<Vec<Vec<StoredEvent>>> {
        let reads: Vec<_> = subjects.iter().map(|subject| self.inner.events_of(*subject)).collect();
        let read = stream::iter(reads).buffered(CONCURRENT).try_collect();
        call(call_span!("cassandra", "SELECT", "events", subjects.len()), read).await
    }
}

impl Inner {
    /// One view, by a statement that decides how it is read.
    pub(super) async fn lookup(
        &self,
        statement: &PreparedStatement,
        subject: SubjectId,
    ) -> Result<Option<VersionedView>> {
        let found = self.session.execute_unpaged(statement, (&subject.as_bytes()[..],)).await;
        let rows = found.map_err(|e| fault("views", &e))?.into_rows_result().map_err(|_| corrupt_view())?;
        let row = rows.maybe_first_row::<(Option<i64>, Option<Vec<u8>>)>().map_err(|_| corrupt_view())?;
        row.map(|(version, view)| view_of(version, view)).transpose()
    }

    /// Subjects by the node that has them, in groups of bounded size; by no node in particular where that is not known.
    fn by_replica(&self, subjects: &[SubjectId]) -> Vec<(Option<NodeIdentifier>, Vec<SubjectId>)> {
        let state = self.session.get_cluster_state();
        let keyspace = self.options.region_keyspace();
        let mut groups: HashMap<_, Vec<SubjectId>> = HashMap::new();
        for subject in subjects {
            let token = self.statements.views.lookup.calculate_token(&(&subject.as_bytes()[..],)).ok().flatten();
            let node = token.and_then(|token| {
                let replicas = state.get_token_endpoints(&keyspace, "views", token);
                replicas.into_iter().map(|(node, _)| node).find(|node| node.is_connected()).map(|node| node.host_id)
            });
            groups.entry(node).or_default().push(*subject);
        }
        let chunks = |(node, keys): (Option<_>, Vec<SubjectId>)| {
            let node = node.map(NodeIdentifier::HostId);
            keys.chunks(LOOKUP_KEYS).map(|keys| (node.clone(), keys.to_vec())).collect::<Vec<_>>()
        };
        groups.into_iter().flat_map(chunks).collect()
    }

    /// The views of a group that one node has; by any node if that one does not answer.
    async fn lookup_group(
        &self,
        node: Option<NodeIdentifier>,
        keys: &[SubjectId],
    ) -> Result<Vec<(SubjectId, VersionedView)>> {
        if let [key] = keys {
            // By itself it goes to whoever has it, or to another who does.
            let found = self.lookup(&self.statements.views.lookup, *key).await?;
            return Ok(found.map(|found| (*key, found)).into_iter().collect());
        }
        if let Some(node) = node {
            let mut statement = self.statements.views.lookup_many.clone();
            statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(node, None)));
            if let Ok(found) = lookup_in(&self.session, &statement, keys).await {
                return Ok(found);
            }
        }
        lookup_in(&self.session, &self.statements.views.lookup_many, keys).await
    }

    async fn events_of(&self, subject: SubjectId) -> Result<Vec<StoredEvent>> {
        let corrupt = |what: String| StoreError::Corrupt { table: "events", what };
        let found =
            self.session.execute_unpaged(&self.statements.events.events, (&subject.as_bytes()[..], READ_EVENTS)).await;
        let rows = found.map_err(|e| fault("events", &e))?.into_rows_result().map_err(|_| corrupt("a row".into()))?;
        if rows.rows_num() >= READ_EVENTS as usize {
            return Err(corrupt(format!("a subject with {READ_EVENTS} events or more")));
        }
        let events = rows.rows::<(Vec<u8>,)>().map_err(|_| corrupt("a column".into()))?;
        events
            .map(|row| {
                let (event,) = row.map_err(|_| corrupt("a row".into()))?;
                let event = StoredEvent::decode(&event).map_err(|e| corrupt(e.to_string()))?;
                if event.event.subject == subject {
                    Ok(event)
                } else {
                    Err(corrupt("an event of somebody else".into()))
                }
            })
            .collect()
    }
}

async fn lookup_in(
    session: &Session,
    statement: &PreparedStatement,
    keys: &[SubjectId],
) -> Result<Vec<(SubjectId, VersionedView)>> {
    let asked: Vec<&[u8]> = keys.iter().map(|key| &key.as_bytes()[..]).collect();
    let found = session.execute_unpaged(statement, (asked,)).await.map_err(|e| fault("views", &e))?;
    let rows = found.into_rows_result().map_err(|_| corrupt_view())?;
    let rows = rows.rows::<(Vec<u8>, Option<i64>, Option<Vec<u8>>)>().map_err(|_| corrupt_view())?;
    rows.map(|row| {
        let (subject, version, view) = row.map_err(|_| corrupt_view())?;
        let subject = subject.try_into().map_err(|_| corrupt_view())?;
        Ok((SubjectId::from_bytes(subject), view_of(version, view)?))
    })
    .collect()
}

fn view_of(version: Option<i64>, view: Option<Vec<u8>>) -> Result<VersionedView> {
    let (Some(version), Some(view)) = (version, view) else { return Err(corrupt_view()) };
    Ok(VersionedView { version: Version(version as u64), view: view.into() })
}

pub(super) fn corrupt_view() -> StoreError {
    StoreError::Corrupt { table: "views", what: "a row".into() }
}
