//! Lookups of views: one at a replica of its own, many grouped by replica.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::prepared::PreparedStatement;
use yima_schema::subject::SubjectId;
use yima_schema::view::Version;

use crate::cql::{CONCURRENT_REQUESTS, CqlStore, Inner};
use crate::span::{call, call_span};
use crate::{Result, StoreError, VersionedView, ViewReader};

/// Keys in one lookup of many: ScyllaDB takes up to 100.
const LOOKUP_KEYS: usize = 50;

const TABLE: &str = "views";

#[async_trait]
impl ViewReader for CqlStore {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        let found = self.inner.lookup_view(&self.inner.statements.views.lookup, subject);
        let found = call(call_span!("cassandra", "SELECT", "views", 1), found).await?;
        self.inner.check_absence(found.is_none()).await?;
        Ok(found)
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let groups = self.inner.by_replica(subjects);
        let found = stream::iter(groups)
            .map(|(node, keys)| async move { self.inner.lookup_group(node, &keys).await })
            .buffer_unordered(CONCURRENT_REQUESTS)
            .try_collect::<Vec<_>>();
        let found = call(call_span!("cassandra", "SELECT", "views", subjects.len()), found).await?;
        let found: HashMap<SubjectId, VersionedView> = found.into_iter().flatten().collect();
        self.inner.check_absence(subjects.iter().any(|subject| !found.contains_key(subject))).await?;
        Ok(subjects.iter().map(|subject| found.get(subject).cloned()).collect())
    }
}

impl Inner {
    /// One view, by a statement that decides how it is read.
    pub(in crate::cql) async fn lookup_view(
        &self,
        statement: &PreparedStatement,
        subject: SubjectId,
    ) -> Result<Option<VersionedView>> {
        let rows = self.query(TABLE, statement, (&subject.as_bytes()[..],)).await?;
        let row = rows.maybe_first_row::<(Option<i64>, Option<Vec<u8>>)>().map_err(|_| corrupt())?;
        row.map(|(version, view)| decode(version, view)).transpose()
    }

    /// Groups subjects of bounded size by a connected replica of theirs; under no node where none is known.
    fn by_replica(&self, subjects: &[SubjectId]) -> Vec<(Option<NodeIdentifier>, Vec<SubjectId>)> {
        let state = self.session.get_cluster_state();
        let keyspace = self.options.region_keyspace();
        let mut groups: HashMap<_, Vec<SubjectId>> = HashMap::new();
        for subject in subjects {
            let token = self.statements.views.lookup.calculate_token(&(&subject.as_bytes()[..],)).ok().flatten();
            let node = token.and_then(|token| {
                let replicas = state.get_token_endpoints(&keyspace, TABLE, token);
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

    /// The views of a group, from its node; from any node if that one does not answer.
    async fn lookup_group(
        &self,
        node: Option<NodeIdentifier>,
        keys: &[SubjectId],
    ) -> Result<Vec<(SubjectId, VersionedView)>> {
        let statements = &self.statements.views;
        if let [key] = keys {
            // The driver sends a single key to one of its replicas, or to another one.
            let found = self.lookup_view(&statements.lookup, *key).await?;
            return Ok(found.map(|found| (*key, found)).into_iter().collect());
        }
        if let Some(node) = node {
            let mut statement = statements.lookup_many.clone();
            statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(node, None)));
            if let Ok(found) = self.lookup_keys(&statement, keys).await {
                return Ok(found);
            }
        }
        self.lookup_keys(&statements.lookup_many, keys).await
    }

    async fn lookup_keys(
        &self,
        statement: &PreparedStatement,
        keys: &[SubjectId],
    ) -> Result<Vec<(SubjectId, VersionedView)>> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key.as_bytes()[..]).collect();
        let rows = self.query(TABLE, statement, (keys,)).await?;
        let rows = rows.rows::<(Vec<u8>, Option<i64>, Option<Vec<u8>>)>().map_err(|_| corrupt())?;
        rows.map(|row| {
            let (subject, version, view) = row.map_err(|_| corrupt())?;
            let subject = subject.try_into().map_err(|_| corrupt())?;
            Ok((SubjectId::from_bytes(subject), decode(version, view)?))
        })
        .collect()
    }
}

fn decode(version: Option<i64>, view: Option<Vec<u8>>) -> Result<VersionedView> {
    let (Some(version), Some(view)) = (version, view) else { return Err(corrupt()) };
    Ok(VersionedView { version: Version(version as u64), view: view.into() })
}

fn corrupt() -> StoreError {
    StoreError::Corrupt { table: TABLE, what: "a row".into() }
}
